/**
 * Reads YAML text into plain values that remember where they stood.
 *
 * The text may be anything: half written, binary, or made to exhaust the parser. Everything is bounded,
 * nothing is thrown. Beyond YAML itself, only what JSON can say is accepted: no tags, string keys only.
 */
import { isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, parseDocument } from 'yaml';
import type { Document, Node, Pair } from 'yaml';
import { showValue, toAscii } from './setting-kinds.table.ts';

/** Size of the largest file that is read. */
export const MAX_CONFIG_BYTES = 1024 * 1024;
/** The parser takes up to 10 us a token, so that the worst file takes half a second. */
const MAX_TOKENS = 50_000;
/** Values after aliases are followed: the bound against a "billion laughs" file. */
const MAX_NODES = 20_000;
const MAX_ALIASES = 32;
const MAX_DEPTH = 32;

/** Counts from 1. */
export type Position = { readonly line: number; readonly column: number };
/** Where a key and its value stand. */
export type Place = { readonly key: Position; readonly value: Position };
/** Something wrong with the text itself. */
export type SourceIssue = Position & {
  readonly path: readonly string[];
  readonly message: string;
  readonly expected: string;
};

export type YamlSource = {
  /** `undefined` when there is nothing to look at. */
  readonly value: unknown;
  /** By path, as `pathKey` writes it. */
  readonly places: ReadonlyMap<string, Place>;
  readonly issues: readonly SourceIssue[];
  /** False when the text has no reliable structure, so that looking further would only mislead. */
  readonly whole: boolean;
};

/** A path as key of a map. */
export const pathKey = (path: readonly PropertyKey[]): string => JSON.stringify(path.map(String));

const START: Position = { line: 1, column: 1 };
const broken = (issue: SourceIssue): YamlSource => ({
  value: undefined,
  places: new Map(),
  issues: [issue],
  whole: false,
});

/** What can be told before parsing; keeps hostile text away from the parser. */
const checkText = (text: string): SourceIssue | undefined => {
  if (text.length > MAX_CONFIG_BYTES) {
    return { ...START, path: [], message: 'the file is larger than 1MiB', expected: 'a file of at most 1MiB' };
  }
  const control = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]/.exec(text);
  if (control !== null) {
    const before = text.slice(0, control.index);
    const line = before.split('\n').length;
    const position = { line, column: control.index - before.lastIndexOf('\n') };
    return {
      ...position,
      path: [],
      message: `character ${toAscii(control[0]).replace('\\u', 'U+')} does not belong in text`,
      expected: 'plain text in UTF-8',
    };
  }
  let tokens = 0;
  for (const _ of new Lexer().lex(text)) {
    tokens += 1;
    if (tokens > MAX_TOKENS) {
      return {
        ...START,
        path: [],
        message: `the file has more than ${MAX_TOKENS} words and signs`,
        expected: 'a smaller file',
      };
    }
  }
  return undefined;
};

const EXPECTED_BY_CODE: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'spaces as indentation',
  MULTIPLE_DOCS: 'a single document, without "---" after the first key',
  NON_STRING_KEY: 'a plain word as key',
  RESOURCE_EXHAUSTION: 'less nesting',
  TAG_RESOLVE_FAILED: 'a value without a tag',
  MISSING_CHAR: 'the quotation or bracket to be closed',
};

const MESSAGE_BY_CODE: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'a second document begins here',
  RESOURCE_EXHAUSTION: 'nested too deeply',
};

/** Walks the syntax tree once, with a budget, into plain values. */
const walkTree = (document: Document, lines: LineCounter) => {
  const places = new Map<string, Place>();
  const issues: SourceIssue[] = [];
  let nodes = 0;
  let aliases = 0;
  const at = (offset: number | undefined): Position => {
    const { line, col } = lines.linePos(offset ?? 0);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const refuse = (position: Position, path: readonly string[], message: string, expected: string): undefined => {
    issues.push({ ...position, path, message, expected });
    return undefined;
  };

  const mapping = (pairs: readonly Pair[], path: readonly string[], fallback: Position): Record<string, unknown> => {
    const result: Record<string, unknown> = {};
    for (const pair of pairs) {
      const keyNode = isScalar(pair.key) ? pair.key : undefined;
      const keyAt = at(keyNode?.range?.[0]);
      if (keyNode === undefined || typeof keyNode.value !== 'string') {
        refuse(keyNode === undefined ? fallback : keyAt, path, 'a key that is not a plain word', 'a plain word as key');
        continue;
      }
      const key = keyNode.value;
      const inner = [...path, key];
      if (key === '__proto__') {
        refuse(keyAt, inner, 'not allowed as a key', 'another name');
      } else if (Object.hasOwn(result, key)) {
        const first = places.get(pathKey(inner))?.key.line ?? 1;
        refuse(keyAt, inner, `the same key again, first on line ${first}`, 'each key once');
      } else {
        const valueNode = pair.value as Node | null;
        // An empty value has a place of its own behind the colon, which nobody would look at.
        const isEmpty =
          isScalar(valueNode) &&
          valueNode.value === null &&
          (valueNode.range?.[0] ?? 0) === (valueNode.range?.[1] ?? 0);
        const valueAt = valueNode?.range && !isEmpty ? at(valueNode.range[0]) : keyAt;
        places.set(pathKey(inner), { key: keyAt, value: valueAt });
        result[key] = visit(valueNode, inner, valueAt);
      }
      if (nodes > MAX_NODES) break;
    }
    return result;
  };

  const visit = (node: Node | null, path: readonly string[], position: Position): unknown => {
    nodes += 1;
    if (nodes > MAX_NODES) {
      if (nodes === MAX_NODES + 1) refuse(position, path, `more than ${MAX_NODES} values`, 'a smaller file');
      return null;
    }
    if (path.length > MAX_DEPTH)
      return refuse(position, path.slice(0, 8), `nested deeper than ${MAX_DEPTH} levels`, 'less nesting');
    if (node === null) return null;
    if (isAlias(node)) {
      aliases += 1;
      if (aliases > MAX_ALIASES)
        return refuse(position, path, `more than ${MAX_ALIASES} aliases`, 'the values written out');
      const target = node.resolve(document);
      if (target === undefined)
        return refuse(
          position,
          path,
          `alias ${showValue(node.source)} has no anchor`,
          'an anchor of that name before it',
        );
      return visit(target, path, position);
    }
    if (isMap(node)) return mapping(node.items, path, position);
    if (isSeq(node)) {
      const items: unknown[] = [];
      for (const [index, item] of node.items.entries()) {
        const inner = [...path, String(index)];
        const itemNode = item as Node;
        const itemAt = itemNode.range ? at(itemNode.range[0]) : position;
        places.set(pathKey(inner), { key: itemAt, value: itemAt });
        items.push(visit(itemNode, inner, itemAt));
        if (nodes > MAX_NODES) break;
      }
      return items;
    }
    const value = isScalar(node) ? node.value : undefined;
    if (typeof value === 'number' && !Number.isFinite(value))
      return refuse(position, path, `${String(value)} is not a number to work with`, 'a finite number');
    if (value !== null && !['string', 'number', 'boolean'].includes(typeof value)) {
      return refuse(position, path, 'not a text, number, true, false, list or mapping', 'a plain value');
    }
    return value;
  };

  const contents = document.contents;
  const value = contents === null ? undefined : visit(contents, [], at(contents.range?.[0]));
  return { value, places, issues };
};

/** Reads YAML text. Never throws. */
export const readYaml = (fullText: string): YamlSource => {
  // Editors on other systems put a byte order mark in front; it moves no column.
  const text = fullText.startsWith('\uFEFF') ? fullText.slice(1) : fullText;
  const refused = checkText(text);
  if (refused !== undefined) return broken(refused);

  const lines = new LineCounter();
  // uniqueKeys costs quadratic time in the parser; the walk finds repeated keys itself.
  const document = parseDocument(text, {
    lineCounter: lines,
    version: '1.2',
    schema: 'core',
    strict: true,
    stringKeys: true,
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'error',
  });
  // What follows a nesting too deep for the parser is only its echo.
  const exhausted = document.errors.filter((error) => error.code === 'RESOURCE_EXHAUSTION').slice(0, 1);
  const faults = exhausted.length > 0 ? exhausted : [...document.errors, ...document.warnings];
  const syntax = faults.map((error): SourceIssue => {
    const { line, col } = lines.linePos(error.pos[0]);
    const message = MESSAGE_BY_CODE[error.code] ?? toAscii(error.message.slice(0, 160));
    return {
      line: Math.max(line, 1),
      column: Math.max(col, 1),
      path: [],
      message: `not valid YAML: ${message}`,
      expected: EXPECTED_BY_CODE[error.code] ?? 'valid YAML 1.2',
    };
  });
  if (document.errors.length > 0) return { value: undefined, places: new Map(), issues: syntax, whole: false };
  const tree = walkTree(document, lines);
  return { value: tree.value, places: tree.places, issues: [...syntax, ...tree.issues], whole: true };
};
