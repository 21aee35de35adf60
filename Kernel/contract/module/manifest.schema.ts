/**
 * `module.yaml` (DESIGN section 7): what a module is, may use and offers.
 *
 * A manifest is hostile input even when it is signed, so every text, list and number has a bound, and a
 * key that is not known is refused instead of ignored: a misspelt limit must not be no limit.
 */
import { z } from 'zod';
import { MODULE_NAME_PATTERN, type ModuleName } from '../ids.ts';
import { parseDuration, parseSize, type Quantity } from '../units.ts';
import { TOPIC_PATTERN } from '../wire/agent.schema.ts';
import { ENTRY_EXTENSIONS, findPathFault } from './artifact-path.ts';

/** Keys that a later version gives a meaning; refused until then. */
export const RESERVED_KEYS: readonly string[] = ['secrets', 'volumes', 'schedule', 'egress', 'ingress', 'command'];
/** Exports with a meaning of their own; `then` would make the namespace of the module a thenable that `import()` calls. */
const RESERVED_FUNCTIONS: readonly string[] = ['start', 'stop', 'default', 'then', 'constructor', 'prototype'];

const MIB = 1024 * 1024;
const SEMVER =
  /^(?:0|[1-9]\d{0,9})\.(?:0|[1-9]\d{0,9})\.(?:0|[1-9]\d{0,9})(?:-(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?$/;

const quantity = (
  parse: (text: string) => Quantity,
  range: { readonly min: number; readonly max: number; readonly expected: string },
) =>
  z
    .string()
    .max(32)
    .transform((text, context) => {
      const read = parse(text);
      const fault = !read.ok ? read.reason : read.value < range.min || read.value > range.max ? range.expected : null;
      if (read.ok && fault === null) return read.value;
      context.addIssue({
        code: 'custom',
        message: `${JSON.stringify(text)} is not allowed here`,
        params: { expected: fault },
      });
      return z.NEVER;
    });

const isPowerOfTwo = (value: number): boolean => Number.isInteger(Math.log2(value));
const timeout = quantity(parseDuration, { min: 1, max: 86_400_000, expected: 'a time from 1ms to 1d' });
const words = z.string().min(1).max(200);
const condition = z.array(z.string().min(1).max(1024)).max(16);
const jsonSchema = z.union([z.boolean(), z.record(z.string(), z.unknown())], {
  error: 'a JSON Schema is an object, or true or false',
});
const topics = z
  .array(z.string().regex(TOPIC_PATTERN, 'a topic is 1 to 128 of a-z, 0-9, dot, underscore and hyphen'))
  .max(64);
const moduleName = z.string().regex(MODULE_NAME_PATTERN, {
  error: 'a name is 1 to 40 of a-z, 0-9 and inner hyphens and begins with a letter',
});
const functionName = z
  .string()
  .regex(
    /^[A-Za-z_$][A-Za-z0-9_$]{0,63}$/,
    'the name of a function is that of an export: at most 64 letters, digits, _ and $',
  )
  .refine((name) => !RESERVED_FUNCTIONS.includes(name), {
    error: 'this name has a meaning of its own and cannot be called',
  });

const functionSchema = z.strictObject({
  description: words.optional(),
  /** JSON Schema of the one argument; `true` accepts everything. */
  params: jsonSchema.default(true),
  result: jsonSchema.default(true),
  /** Time for one call; null: what kernel.yaml says. */
  timeout: timeout.nullable().default(null),
  risk: z.enum(['low', 'medium', 'high']).default('low'),
  /** A call may be sent again after its instance was lost. */
  idempotent: z.boolean().default(false),
  /** CEL conditions; kept for the gate, which does not read them yet. */
  pre: condition.default([]),
  post: condition.default([]),
});

const dryRunCase = z.strictObject({
  name: words.optional(),
  function: functionName,
  params: z.unknown().default({}),
  /** The exact result; absent: any result that fits the function's schema. */
  result: z.unknown().optional(),
});

const healthSchema = z.strictObject({
  /** A declared function; called with `{}`. It fails when it throws or is late. */
  function: functionName,
  interval: quantity(parseDuration, { min: 100, max: 3_600_000, expected: 'a time from 100ms to 1h' }).default(10_000),
  timeout: quantity(parseDuration, { min: 1, max: 60_000, expected: 'a time from 1ms to 1m' }).default(1_000),
  /** Failures in a row that count as unhealthy. */
  failures: z.int().min(1).max(100).default(3),
});

/** What one instance may use; null: what the zone gives each instance. */
const resourcesSchema = z.strictObject({
  memory: quantity(parseSize, { min: 64 * MIB, max: 65_536 * MIB, expected: 'a size class from 64MiB to 64GiB' })
    .refine(isPowerOfTwo, {
      error: 'memory comes in size classes',
      params: { expected: '64MiB, 128MiB, 256MiB, … (powers of two)' },
    })
    .nullable()
    .default(null),
  cpus: z.number().min(0.01).max(256).nullable().default(null),
  pids: z.int().min(16).max(4096).nullable().default(null),
  tmp: quantity(parseSize, { min: MIB, max: 16_384 * MIB, expected: 'a size from 1MiB to 16GiB' })
    .nullable()
    .default(null),
});

const rootError = (issue: { readonly code?: string; readonly keys?: unknown }): string | undefined => {
  if (issue.code !== 'unrecognized_keys' || !Array.isArray(issue.keys)) return undefined;
  const reserved = issue.keys.filter((key) => RESERVED_KEYS.includes(String(key)));
  return reserved.length === 0 ? undefined : `reserved for a later version: ${reserved.join(', ')}`;
};

/** The manifest as written; parsing fills defaults and turns sizes into bytes and times into milliseconds. */
export const manifestSchema = z.strictObject(
  {
    apiVersion: z.literal('kerneld/v1'),
    name: moduleName,
    version: z.string().max(64).regex(SEMVER, 'a version is MAJOR.MINOR.PATCH, with an optional -prerelease'),
    description: words.optional(),
    /** Counts security fixes; a later update may not go below the highest that was confirmed. */
    securityVersion: z.int().min(0).max(2_147_483_647).default(0),
    entry: z.string().superRefine((path, context) => {
      const fault =
        findPathFault(path) ?? (ENTRY_EXTENSIONS.test(path) ? null : 'the entry is a file .mjs, .js, .mts or .ts');
      if (fault !== null) context.addIssue({ code: 'custom', message: fault });
    }),
    /** Where it runs unless the operator says otherwise at install. */
    zone: z.enum(['stable', 'sandbox']).default('sandbox'),
    tier: z.enum(['core', 'critical', 'standard', 'experimental']).default('standard'),
    tenant: moduleName.default('default'),
    instances: z.int().min(1).max(64).default(1),
    standby: z.int().min(0).max(64).default(0),
    resources: resourcesSchema.prefault({}),
    network: z.literal('none').default('none'),
    dependsOn: z.array(moduleName).max(64).default([]),
    /** Of the data it handles; confidential unless it says less, since a forgotten line must not publish anything. */
    classification: z.enum(['public', 'confidential', 'pii', 'pci', 'phi']).default('confidential'),
    /** JSON Schema of the values that kernel.yaml gives; absent: it takes none. */
    config: jsonSchema.default({ type: 'object', additionalProperties: false }),
    functions: z
      .record(functionName, functionSchema)
      .refine((functions) => Object.keys(functions).length <= 256, { error: 'at most 256 functions' })
      .default({}),
    dryRun: z.array(dryRunCase).max(64).default([]),
    health: healthSchema.nullable().default(null),
    bus: z.strictObject({ publish: topics.default([]), subscribe: topics.default([]) }).prefault({}),
  },
  { error: rootError },
);

/** A manifest as the kernel uses it: every default filled, sizes in bytes, times in milliseconds. */
export type ModuleManifest = Omit<z.output<typeof manifestSchema>, 'name' | 'resources' | 'functions' | 'health'> & {
  readonly name: ModuleName;
  readonly resources: ModuleResources;
  readonly functions: Readonly<Record<string, ModuleFunction>>;
  readonly health: ModuleHealth | null;
};

/** null: what the zone gives each instance. */
export type ModuleResources = {
  readonly memoryBytes: number | null;
  readonly cpus: number | null;
  readonly pids: number | null;
  readonly tmpBytes: number | null;
};

/** Schemas are plain JSON; `compileSchema` makes them usable. */
export type ModuleFunction = Omit<z.output<typeof functionSchema>, 'timeout'> & {
  /** null: `instances.callTimeout` of kernel.yaml. */
  readonly timeoutMs: number | null;
};

export type ModuleHealth = {
  readonly function: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly failures: number;
};
