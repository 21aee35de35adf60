/** Reads the text of kernel.yaml: either the configuration to work with, or everything that is wrong. */
import type { z } from 'zod';
import type { EffectiveConfig } from '../Kernel/contract/effective-config.ts';
import { formatPath, orderIssues } from './config-issue.ts';
import type { ConfigIssue } from './config-issue.ts';
import { checkAcrossFields } from './cross-field.verdict.ts';
import { kernelSchema } from './kernel.schema.ts';
import type { KernelFile } from './kernel.schema.ts';
import { nearestKey } from '../Kernel/contract/nearest-key.verdict.ts';
import { resolveConfig } from './resolve-config.ts';
import type { MachineFacts } from './resolve-config.ts';
import { showValue } from './setting-kinds.table.ts';
import { ALL_SETTINGS, API_VERSION, settingAt, SETTINGS } from './settings.table.ts';
import { pathKey, readYaml } from './yaml-source.ts';
import type { Place, Position } from './yaml-source.ts';

/** Where a value comes from. `machine`: worked out from what the machine has. */
export type ConfigSource = {
  /** As written, or the default as it would be written. */
  readonly value: unknown;
  readonly from: 'file' | 'default' | 'machine';
  readonly line?: number;
  readonly column?: number;
  /** Read from this file earlier, and in force until a restart whatever the file says now. */
  readonly kept?: { readonly file: string };
};
/** By key, as `zones.stable.memory` or `modules.greeter.config`. */
export type ConfigSources = ReadonlyMap<string, ConfigSource>;

export type ParsedConfig =
  | { readonly ok: true; readonly config: EffectiveConfig; readonly sources: ConfigSources }
  | { readonly ok: false; readonly issues: readonly ConfigIssue[] };

/** zod would otherwise compile validators with `new Function`, which a hardened process refuses. */
const PARSE = { jitless: true } as const;

type Problem = Omit<ConfigIssue, 'file' | 'line' | 'column' | 'path'> & {
  readonly path: readonly string[];
  readonly at: Position;
};

const ROOT_KEYS = ['apiVersion', ...Object.keys(SETTINGS.children), 'modules'];
const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const valueAt = (root: unknown, path: readonly string[]): unknown => {
  let value = root;
  for (const key of path) value = isMapping(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  return value;
};

const knownKeys = (path: readonly string[]): readonly string[] => {
  if (path.length === 0) return ROOT_KEYS;
  if (path[0] === 'modules') return ['config'];
  const node = settingAt(path);
  return node?.node === 'section' ? Object.keys(node.children) : [];
};

/** Finds the place of a path, or of the nearest parent that the file has. */
const placeFinder =
  (places: ReadonlyMap<string, Place>) =>
  (path: readonly string[], part: keyof Place): Position => {
    for (let length = path.length; length > 0; length -= 1) {
      const place = places.get(pathKey(path.slice(0, length)));
      if (place !== undefined) return length === path.length ? place[part] : place.key;
    }
    return { line: 1, column: 1 };
  };
type FindPlace = ReturnType<typeof placeFinder>;

/** Puts what zod found into the words of the setting it concerns. */
const explain = (issue: z.core.$ZodIssue, root: unknown, find: FindPlace): readonly Problem[] => {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(path);
    return issue.keys.map((key) => {
      const suggestion = nearestKey(key, known);
      const inner = [...path, key];
      return {
        path: inner,
        at: find(inner, 'key'),
        message: 'unknown key',
        expected: `one of ${known.join(', ')}`,
        ...(suggestion === undefined ? {} : { suggestion }),
      };
    });
  }
  const at = find(path, 'value');
  const value = valueAt(root, path);
  if (path[0] === 'apiVersion') {
    const message = value === undefined ? 'missing' : `${showValue(value)} is not a version that this kernel knows`;
    return [{ path, at, message, expected: API_VERSION }];
  }
  const node = settingAt(path);
  if (node?.node === 'leaf') {
    const reading = node.read(value);
    const message = reading.ok ? issue.message : reading.message;
    const suggestion = reading.ok ? undefined : reading.suggestion;
    return [{ path, at, message, expected: node.expected, ...(suggestion === undefined ? {} : { suggestion }) }];
  }
  if (issue.code === 'invalid_key') {
    return [
      {
        path,
        at: find(path, 'key'),
        message: 'not a name of a module',
        expected: 'a-z, 0-9 and inner hyphens, starting with a letter, at most 40 characters',
      },
    ];
  }
  const message = value === null ? 'nothing is written below this key' : `${showValue(value)} is not a mapping`;
  const where = path.length === 0 ? 'keys' : 'keys below it, or the key left out';
  return [{ path, at, message: path.length === 0 ? 'the file holds no mapping' : message, expected: where }];
};

/** A copy without the paths that are wrong, so that the rest can be looked at. */
const withoutPaths = (value: unknown, paths: ReadonlySet<string>, path: readonly string[] = []): unknown => {
  if (!isMapping(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !paths.has(pathKey([...path, key])))
      .map(([key, inner]) => [key, withoutPaths(inner, paths, [...path, key])]),
  );
};

const collectSources = (file: KernelFile, root: unknown, places: ReadonlyMap<string, Place>): ConfigSources => {
  const sources = new Map<string, ConfigSource>();
  for (const { key, path, leaf } of ALL_SETTINGS) {
    const place = places.get(pathKey(path));
    const written = place === undefined ? leaf.default : valueAt(root, path);
    const from = written === 'auto' && path[0] === 'pool' ? 'machine' : place === undefined ? 'default' : 'file';
    sources.set(key, { value: written, from, ...place?.value });
  }
  for (const [name, module] of Object.entries(file.modules)) {
    const place = places.get(pathKey(['modules', name, 'config']));
    sources.set(`modules.${name}.config`, {
      value: module.config ?? {},
      from: place === undefined ? 'default' : 'file',
      ...place?.value,
    });
  }
  return sources;
};

/**
 * Reads the text of kernel.yaml. Reports every problem at once, in the order of the file; never throws.
 *
 * @param input.file - the name that issues carry
 * @param input.machine - what percentages and `auto` of the pool are worked out from
 */
export const parseKernelConfig = (input: {
  readonly text: string;
  readonly file: string;
  readonly machine: MachineFacts;
}): ParsedConfig => {
  const source = readYaml(input.text);
  const find = placeFinder(source.places);
  const problems: Problem[] = source.issues.map(({ line, column, ...issue }) => ({ ...issue, at: { line, column } }));
  let parsed: { readonly file: KernelFile; readonly config: EffectiveConfig } | undefined;

  if (source.whole) {
    // An empty file is a mapping without keys: what it lacks is said by key.
    const root = source.value ?? {};
    const first = kernelSchema.safeParse(root, PARSE);
    if (!first.success) problems.push(...first.error.issues.flatMap((issue) => explain(issue, root, find)));
    const wrong = new Set(problems.map((problem) => pathKey(problem.path)));
    const usable = isMapping(root) ? withoutPaths(root, wrong) : {};
    const second = first.success
      ? first
      : kernelSchema.safeParse({ ...(usable as object), apiVersion: API_VERSION }, PARSE);
    if (second.success) {
      const config = resolveConfig(second.data, input.machine);
      parsed = { file: second.data, config };
      problems.push(...acrossFields(config, input.machine, problems, source.places, find));
    }
  }
  if (problems.length === 0 && parsed !== undefined) {
    return { ok: true, config: parsed.config, sources: collectSources(parsed.file, source.value, source.places) };
  }
  const issues = problems.map(({ at, path, ...problem }) => ({
    file: input.file,
    ...at,
    path: formatPath(path),
    ...problem,
  }));
  return { ok: false, issues: orderIssues(issues) };
};

/** Rules between settings, but for those that rest on a value which is itself wrong. */
const acrossFields = (
  config: EffectiveConfig,
  machine: MachineFacts,
  problems: readonly Problem[],
  places: ReadonlyMap<string, Place>,
  find: FindPlace,
): readonly Problem[] => {
  const wrong = problems.map((problem) => problem.path.join('.')).filter((path) => path !== '');
  const rests = (key: string): boolean => wrong.some((path) => key === path || key.startsWith(`${path}.`));
  return checkAcrossFields(config, machine)
    .filter((issue) => !issue.keys.some(rests))
    .map(({ keys, ...issue }) => {
      // Shown where something is written: the key to change may be left out, and its partner be at fault.
      const shown = keys.find((key) => places.has(pathKey(key.split('.')))) ?? keys[0];
      const path = keys[0].split('.');
      return { ...issue, path, at: find(shown.split('.'), 'value') };
    });
};
