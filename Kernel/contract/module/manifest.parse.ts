/** Reads and checks a `module.yaml`. */
import type { z } from 'zod';
import { KernelError } from '../errors.ts';
import { parseModuleName } from '../ids.ts';
import { findSchemaFaults } from './json-schema/compile.ts';
import { checkDryRunCases } from './manifest-dry-run.ts';
import { describeIssue, issueAt, MAX_ISSUES, type ManifestIssue } from './manifest-issues.ts';
import { manifestSchema, type ModuleManifest } from './manifest.schema.ts';
import { type Path, readSource, type Source } from './manifest-source.ts';

const TMP_RESERVE_BYTES = 48 * 1024 * 1024;
type Written = z.output<typeof manifestSchema>;

/** Parses the text of a manifest and reports all that is wrong with it at once.
 *
 * @throws KernelError `MODULE_INVALID` with `context.issues`, a list of `ManifestIssue`
 */
export const parseManifestYaml = (text: string, file = 'module.yaml'): ModuleManifest => {
  const source = readSource(text);
  if (source.issues.length > 0) {
    return refuse(
      file,
      source.issues.map(({ path, position, message, expected }) => ({
        file,
        ...position,
        path: path.join('.').slice(0, 200),
        message,
        expected,
      })),
    );
  }
  const parsed = manifestSchema.safeParse(source.value ?? {});
  const issues = parsed.success
    ? []
    : parsed.error.issues.slice(0, MAX_ISSUES).flatMap((issue) => describeIssue(source, file, issue));
  // Schemas are checked even when other parts are wrong, so that one run of the check shows everything.
  if (issues.length < MAX_ISSUES) issues.push(...schemaIssues(source, file));
  if (parsed.success && issues.length === 0) issues.push(...crossIssues(parsed.data, source, file));
  if (!parsed.success || issues.length > 0) return refuse(file, issues);
  return toManifest(parsed.data);
};

const refuse = (file: string, issues: readonly ManifestIssue[]): never => {
  const first = issues[0];
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : '';
  const what =
    first === undefined ? `${file} is not valid` : `${file}:${first.line}:${first.column}: ${first.message}${more}`;
  throw new KernelError('MODULE_INVALID', what, { context: { issues: issues.slice(0, MAX_ISSUES) } });
};

const member = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;

const schemaIssues = (source: Source, file: string): ManifestIssue[] => {
  const places: Path[] = [['config']];
  const functions = member(source.value, 'functions');
  if (typeof functions === 'object' && functions !== null) {
    for (const name of Object.keys(functions).slice(0, 256))
      places.push(['functions', name, 'params'], ['functions', name, 'result']);
  }
  return places.flatMap((place) => {
    const schema = place.reduce<unknown>((here, part) => member(here, String(part)), source.value);
    // What is not even an object is told by the shape of the manifest.
    if (schema === undefined || (typeof schema !== 'boolean' && (typeof schema !== 'object' || schema === null)))
      return [];
    return findSchemaFaults(schema)
      .slice(0, 10)
      .map((fault) =>
        issueAt(source, file, [...place, ...fault.path], {
          message: fault.message,
          expected: fault.expected,
          suggestion: fault.suggestion,
          part: 'key',
        }),
      );
  });
};

const crossIssues = (manifest: Written, source: Source, file: string): ManifestIssue[] => {
  const issues: ManifestIssue[] = [];
  const add = (path: Path, message: string, expected: string): void => {
    issues.push(issueAt(source, file, path, { message, expected }));
  };
  const declared = Object.keys(manifest.functions);
  if (manifest.health !== null && !declared.includes(manifest.health.function)) {
    add(
      ['health', 'function'],
      `no function ${manifest.health.function} is declared`,
      `one of ${declared.join(', ') || '(none declared)'}`,
    );
  }
  if (manifest.dependsOn.includes(manifest.name))
    add(['dependsOn'], 'a module cannot depend on itself', 'names of other modules');
  if (new Set(manifest.dependsOn).size !== manifest.dependsOn.length)
    add(['dependsOn'], 'a name stands here twice', 'each name once');
  const { memory, tmp } = manifest.resources;
  // DESIGN section 5: the tmpfs are charged to the memory of the instance and must leave room for Node.
  if (memory !== null && tmp !== null && tmp > memory - TMP_RESERVE_BYTES) {
    add(['resources', 'tmp'], 'the memory is too small for this /tmp', 'at most the memory less 48MiB');
  }
  for (const fault of checkDryRunCases(manifest.dryRun, manifest.functions))
    add(fault.path, fault.message, fault.expected);
  return issues;
};

const toManifest = (written: Written): ModuleManifest => ({
  ...written,
  name: parseModuleName(written.name),
  resources: {
    memoryBytes: written.resources.memory,
    cpus: written.resources.cpus,
    pids: written.resources.pids,
    tmpBytes: written.resources.tmp,
  },
  functions: Object.fromEntries(
    Object.entries(written.functions).map(([name, { timeout, ...rest }]) => [name, { ...rest, timeoutMs: timeout }]),
  ),
  health:
    written.health === null
      ? null
      : {
          function: written.health.function,
          intervalMs: written.health.interval,
          timeoutMs: written.health.timeout,
          failures: written.health.failures,
        },
});
