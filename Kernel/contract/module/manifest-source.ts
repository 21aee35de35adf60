/**
 * Reads hostile YAML into plain JSON and remembers where each value stood.
 *
 * The library's own conversion is not used: it expands aliases first and counts later, compares every key
 * of a map with every other, and knows nothing of JSON. This one walks once and stops at its bounds.
 */
import { type Document, isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';

export const SOURCE_LIMITS = { bytes: 256 * 1024, depth: 64, nodes: 20_000, aliases: 64, keyLength: 256 } as const;

export type Path = readonly (string | number)[];
export type Position = { readonly line: number; readonly column: number };
export type SourceIssue = {
  readonly path: Path;
  readonly position: Position;
  readonly message: string;
  readonly expected: string;
};

export type Source = {
  /** Plain JSON; undefined when there are issues. */
  readonly value: unknown;
  readonly issues: readonly SourceIssue[];
  /** Where the value at a path stands, or what holds it when it is missing; `key` gives the place of its key. */
  readonly locate: (path: Path, part?: 'key' | 'value') => Position;
};

class Unreadable extends Error {
  readonly path: Path;
  readonly offset: number;
  readonly expected: string;
  constructor(message: string, expected: string, path: Path, node: unknown) {
    super(message);
    this.path = path;
    this.offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
    this.expected = expected;
  }
}

type Walk = {
  readonly anchors: Map<string, Node>;
  /** Anchors being expanded; an alias to one of them would never end. */
  readonly open: Set<string>;
  readonly duplicates: Unreadable[];
  nodes: number;
  aliases: number;
};

const toKey = (key: unknown, path: Path): string => {
  const value = isScalar(key) ? key.value : null;
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') {
    throw new Unreadable('this key is not a plain word', 'a text as key', path, key);
  }
  const text = String(value);
  // Kept out of every object from here on: assigning it would change the prototype instead of a member.
  if (text === '__proto__') throw new Unreadable('the key __proto__ is not allowed', 'another name', path, key);
  if (text.length > SOURCE_LIMITS.keyLength)
    throw new Unreadable('this key is too long', `at most ${SOURCE_LIMITS.keyLength} characters`, path, key);
  return text;
};

const toPlain = (walk: Walk, node: unknown, path: Path): unknown => {
  walk.nodes += 1;
  if (walk.nodes > SOURCE_LIMITS.nodes)
    throw new Unreadable('too many values', `at most ${SOURCE_LIMITS.nodes}`, path, node);
  if (path.length > SOURCE_LIMITS.depth)
    throw new Unreadable('nested too deep', `at most ${SOURCE_LIMITS.depth} levels`, path.slice(0, 4), node);
  if (isAlias(node)) {
    walk.aliases += 1;
    const target = walk.anchors.get(node.source);
    if (walk.aliases > SOURCE_LIMITS.aliases)
      throw new Unreadable('too many aliases', `at most ${SOURCE_LIMITS.aliases}`, path, node);
    if (target === undefined || walk.open.has(node.source)) {
      throw new Unreadable(
        `the alias *${node.source} has no value yet`,
        'an anchor that is complete before it',
        path,
        node,
      );
    }
    walk.open.add(node.source);
    const value = toPlain(walk, target, path);
    walk.open.delete(node.source);
    return value;
  }
  const value = toValue(walk, node, path);
  // Set after the walk of its content, so an alias inside finds no anchor: YAML allows such a circle, JSON has none.
  if ((isScalar(node) || isMap(node) || isSeq(node)) && node.anchor !== undefined) walk.anchors.set(node.anchor, node);
  return value;
};

const toValue = (walk: Walk, node: unknown, path: Path): unknown => {
  if (node === null) return null;
  if (isScalar(node)) {
    const { value } = node;
    if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    throw new Unreadable('this value has no form in JSON', 'a text, a finite number, true, false or null', path, node);
  }
  if (isSeq(node)) return node.items.map((item, index) => toPlain(walk, item, [...path, index]));
  if (isMap(node)) {
    const plain: Record<string, unknown> = {};
    for (const pair of node.items) {
      const key = toKey(pair.key, path);
      if (Object.hasOwn(plain, key)) {
        walk.duplicates.push(
          new Unreadable(`the key ${JSON.stringify(key)} stands here twice`, 'each key once', [...path, key], pair.key),
        );
      }
      plain[key] = toPlain(walk, pair.value, [...path, key]);
    }
    return plain;
  }
  throw new Unreadable('this value is not understood', 'a map, a list or a plain value', path, node);
};

/**
 * Walks down to a path and returns the offset of the last part that is there. Done on demand: a table of
 * all paths would cost nodes times path length, which a hostile file can make gigabytes.
 */
const findOffset = (
  document: Document,
  anchors: ReadonlyMap<string, Node>,
  path: Path,
  part: 'key' | 'value',
): number => {
  const follow = (node: unknown): unknown => (isAlias(node) ? anchors.get(node.source) : node);
  let node: unknown = document.contents;
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
  for (const [index, step] of path.entries()) {
    node = follow(node);
    const pair = isMap(node)
      ? node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step))
      : undefined;
    const next: unknown = isSeq(node) ? node.items[Number(step)] : pair?.value;
    const shown: unknown =
      pair !== undefined && (!isNode(next) || (part === 'key' && index === path.length - 1)) ? pair.key : next;
    if (!isNode(shown)) break;
    offset = shown.range?.[0] ?? offset;
    node = next;
  }
  return offset;
};

/** Reads YAML 1.2 with the core schema; never throws. */
export const readSource = (text: string): Source => {
  const lines = new LineCounter();
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const failed = (issues: readonly SourceIssue[]): Source => ({ value: undefined, issues, locate: () => at(0) });
  if (text.length > SOURCE_LIMITS.bytes) {
    const position = { line: 1, column: 1 };
    return failed([{ path: [], position, message: 'the file is too large', expected: 'at most 256KiB' }]);
  }
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    version: '1.2',
    schema: 'core',
    merge: false,
  });
  const faults = [...document.errors, ...document.warnings].slice(0, 20);
  if (faults.length > 0) {
    return failed(
      faults.map((fault) => ({ path: [], position: at(fault.pos[0]), message: fault.message, expected: 'YAML 1.2' })),
    );
  }
  const walk: Walk = { anchors: new Map(), open: new Set(), duplicates: [], nodes: 0, aliases: 0 };
  const tell = (fault: Unreadable): SourceIssue => ({
    path: fault.path,
    position: at(fault.offset),
    message: fault.message,
    expected: fault.expected,
  });
  try {
    const value = toPlain(walk, document.contents, []);
    if (walk.duplicates.length > 0) return failed(walk.duplicates.slice(0, 20).map(tell));
    const locate = (path: Path, part: 'key' | 'value' = 'value'): Position =>
      at(findOffset(document, walk.anchors, path, part));
    return { value, issues: [], locate };
  } catch (fault) {
    if (fault instanceof Unreadable) return failed([tell(fault)]);
    throw fault;
  }
};
