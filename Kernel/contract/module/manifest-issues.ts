/** Turns what zod says into what the author of a `module.yaml` can use: place, expectation, nearest key. */
import type { z } from 'zod';
import { nearestKey } from '../nearest-key.verdict.ts';
import { manifestSchema, RESERVED_KEYS } from './manifest.schema.ts';
import type { Path, Source } from './manifest-source.ts';

/** One thing wrong with a manifest; the fields are those of `configIssueSchema`. */
export type ManifestIssue = {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly path: string;
  readonly message: string;
  readonly expected: string;
  readonly suggestion?: string;
};

/** More than these are not told: nobody reads them, and finding each place costs time. */
export const MAX_ISSUES = 50;

const shorten = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}…` : text);

/** Writes a path as an author reads it: `functions.hello.params`, `dryRun[0]`. */
export const showPath = (path: Path): string =>
  shorten(
    path.map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`)).join(''),
  );

/** Makes an issue at a path of the source. */
export const issueAt = (
  source: Source,
  file: string,
  path: Path,
  told: {
    readonly message: string;
    readonly expected: string;
    readonly suggestion?: string | undefined;
    readonly part?: 'key' | 'value';
  },
): ManifestIssue => ({
  file,
  ...source.locate(path, told.part),
  path: showPath(path),
  message: shorten(told.message),
  expected: shorten(told.expected),
  ...(told.suggestion === undefined ? {} : { suggestion: told.suggestion }),
});

/** The schema below wrappers such as default, nullable and transform. */
const unwrap = (schema: z.core.$ZodType): z.core.$ZodType => {
  const def = schema._zod.def as { innerType?: z.core.$ZodType; in?: z.core.$ZodType };
  const inner = def.innerType ?? def.in;
  return inner === undefined ? schema : unwrap(inner);
};

const knownKeysAt = (path: Path): readonly string[] => {
  let schema: z.core.$ZodType | undefined = unwrap(manifestSchema);
  for (const part of path) {
    const def = unwrap(schema)._zod.def as {
      shape?: Record<string, z.core.$ZodType>;
      valueType?: z.core.$ZodType;
      element?: z.core.$ZodType;
    };
    schema = def.shape?.[part] ?? def.valueType ?? def.element;
    if (schema === undefined) return [];
  }
  return Object.keys((unwrap(schema)._zod.def as { shape?: Record<string, unknown> }).shape ?? {});
};

const expectedOf = (issue: z.core.$ZodIssue): string => {
  switch (issue.code) {
    case 'invalid_type':
      return `a value of type ${issue.expected}`;
    case 'invalid_value':
      return issue.values.map((value) => String(value)).join(', ');
    case 'too_small':
      return `at least ${issue.minimum}`;
    case 'too_big':
      return `at most ${issue.maximum}`;
    case 'custom':
      return typeof issue.params?.['expected'] === 'string' ? issue.params['expected'] : issue.message;
    default:
      return issue.message;
  }
};

const isMissing = (value: unknown, path: Path): boolean => {
  let here: unknown = value;
  for (const part of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, part)) return true;
    here = (here as Record<string | number, unknown>)[part];
  }
  return false;
};

/** One zod issue may be several for the author, as each unknown key is its own. */
export const describeIssue = (source: Source, file: string, issue: z.core.$ZodIssue): ManifestIssue[] => {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeysAt(path);
    return issue.keys.slice(0, MAX_ISSUES).map((key) => {
      const reserved = path.length === 0 && RESERVED_KEYS.includes(key);
      const message = reserved ? `${key} is reserved for a later version` : `unknown key ${JSON.stringify(key)}`;
      const expected = `one of ${known.join(', ')}`;
      const suggestion = reserved ? undefined : nearestKey(key, known);
      return issueAt(source, file, [...path, key], { message, expected, suggestion, part: 'key' });
    });
  }
  if (issue.code === 'invalid_key') {
    const reason = issue.issues.map((inner) => inner.message).join('; ');
    return [
      issueAt(source, file, path, {
        message: `${JSON.stringify(path.at(-1))} cannot be a key here`,
        expected: reason,
        part: 'key',
      }),
    ];
  }
  if (issue.code === 'invalid_type' && isMissing(source.value, path)) {
    return [issueAt(source, file, path, { message: `${showPath(path)} is missing`, expected: expectedOf(issue) })];
  }
  const nearest = issue.code === 'invalid_value' ? nearestValue(source.value, path, issue.values) : undefined;
  const missing = isMissing(source.value, path);
  const message = missing ? `${showPath(path)} is missing` : issue.message;
  return [issueAt(source, file, path, { message, expected: expectedOf(issue), suggestion: nearest })];
};

const nearestValue = (root: unknown, path: Path, values: readonly unknown[]): string | undefined => {
  const value = path.reduce<unknown>(
    (here, part) => (here as Record<string | number, unknown> | undefined)?.[part],
    root,
  );
  return typeof value === 'string'
    ? nearestKey(
        value,
        values.filter((known) => typeof known === 'string'),
      )
    : undefined;
};
