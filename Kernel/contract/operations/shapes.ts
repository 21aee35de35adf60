/** Shapes that several operations return; field names are those of DESIGN section 14 and stay stable. */
import { z } from 'zod';
import { DIGEST_PATTERN, MODULE_NAME_PATTERN } from '../ids.ts';

export const zoneNameSchema = z.enum(['stable', 'sandbox']);
export const moduleNameSchema = z
  .string()
  .regex(MODULE_NAME_PATTERN, 'expected a module name: a-z, 0-9, inner hyphens');
export const digestSchema = z.string().regex(DIGEST_PATTERN);

export const KERNEL_MODES = ['booting', 'handover', 'running', 'degraded', 'safe', 'stopping'] as const;
export const ZONE_STATES = ['stopped', 'starting', 'ready', 'degraded', 'stopping', 'failed'] as const;
export const INSTANCE_STATES = ['creating', 'connecting', 'assigning', 'ready', 'draining', 'killing', 'gone'] as const;
export const UNIT_STATES = ['stopped', 'starting', 'running', 'backoff', 'quarantined', 'stopping'] as const;
export const MODULE_PHASES = [
  'starting',
  'running',
  'degraded',
  'backoff',
  'quarantined',
  'stopped',
  'broken',
] as const;

export type ModulePhase = (typeof MODULE_PHASES)[number];

export const slotSchema = z.nullable(z.object({ version: z.string(), digest: digestSchema }));
export const slotsSchema = z.object({ active: slotSchema, fallback: slotSchema, next_stable: slotSchema });

export const instanceRowSchema = z.object({
  id: z.string(),
  module: z.nullable(z.string()),
  state: z.enum(INSTANCE_STATES),
  pid: z.nullable(z.int()),
  /** Restarts of the unit that this instance serves. */
  restarts: z.int(),
});

export const statusSchema = z.object({
  mode: z.enum(KERNEL_MODES),
  /** Why the mode is what it is; null while all is well. */
  reason: z.nullable(z.string()),
  version: z.string(),
  pid: z.int(),
  /** Start of the process to mode `running`; null while booting. */
  bootMs: z.nullable(z.number()),
  home: z.string(),
  uptimeMs: z.number(),
  engine: z.object({
    state: z.enum(['reachable', 'unreachable', 'unknown']),
    host: z.string(),
    version: z.nullable(z.string()),
  }),
  zones: z.array(
    z.object({
      name: zoneNameSchema,
      state: z.enum(ZONE_STATES),
      reason: z.nullable(z.string()),
      instances: z.array(instanceRowSchema),
    }),
  ),
  modules: z.array(
    z.object({
      name: z.string(),
      tier: z.string(),
      phase: z.enum(MODULE_PHASES),
      reason: z.nullable(z.string()),
      zone: zoneNameSchema,
      /** False until signatures come with the update work. */
      signed: z.boolean(),
      slots: slotsSchema,
    }),
  ),
});
export type Status = z.infer<typeof statusSchema>;

export const probeCheckSchema = z.object({
  name: z.string(),
  expected: z.string(),
  observed: z.string(),
  passed: z.boolean(),
  why: z.string(),
});
export const probeReportSchema = z.object({
  zone: zoneNameSchema,
  passed: z.boolean(),
  checks: z.array(probeCheckSchema),
  at: z.string(),
});
export type ProbeReport = z.infer<typeof probeReportSchema>;

/** Why an instance ended: what the engine saw, and what the kernel had done to it before. */
export const exitSchema = z.object({
  cause: z.enum([
    'exited',
    'signal',
    'oom',
    'heap',
    'deadline',
    'unresponsive',
    'unhealthy',
    'protocol',
    'startTimeout',
    'loadFailed',
    'connectionLost',
    'operator',
    'replaced',
    'orphaned',
    'engine',
    'unknown',
  ]),
  exitCode: z.nullable(z.int()),
  signal: z.nullable(z.string()),
  oomKilled: z.boolean(),
  at: z.string(),
  detail: z.string(),
});
export type InstanceExit = z.infer<typeof exitSchema>;

export const zoneInspectSchema = z.object({
  name: zoneNameSchema,
  state: z.enum(ZONE_STATES),
  reason: z.nullable(z.string()),
  image: z.nullable(z.string()),
  runtime: z.string(),
  limits: z.object({
    memoryBytes: z.number(),
    cpus: z.number(),
    maxInstances: z.number(),
    instance: z.record(z.string(), z.number()),
  }),
  used: z.object({ memoryBytes: z.number(), cpus: z.number(), instances: z.number() }),
  seccomp: z.object({ profile: z.string(), sha256: z.string(), allowedSyscalls: z.int() }),
  probe: z.nullable(probeReportSchema),
  instances: z.array(
    instanceRowSchema.extend({
      container: z.nullable(z.string()),
      uid: z.int(),
      sizeClass: z.string(),
      memoryBytes: z.number(),
      uptimeMs: z.nullable(z.number()),
      isolation: z.nullable(z.unknown()),
    }),
  ),
  units: z.array(
    z.object({
      module: z.string(),
      index: z.int(),
      state: z.enum(UNIT_STATES),
      restarts: z.int(),
      reason: z.nullable(z.string()),
      nextStartInMs: z.nullable(z.number()),
      lastExit: z.nullable(exitSchema),
    }),
  ),
});
export type ZoneInspect = z.infer<typeof zoneInspectSchema>;

export const moduleShowSchema = z.object({
  name: z.string(),
  version: z.string(),
  zone: zoneNameSchema,
  tier: z.string(),
  tenant: z.string(),
  phase: z.enum(MODULE_PHASES),
  reason: z.nullable(z.string()),
  signed: z.boolean(),
  generation: z.int(),
  slots: slotsSchema,
  functions: z.array(z.object({ name: z.string(), timeoutMs: z.number(), risk: z.string(), idempotent: z.boolean() })),
  config: z.unknown(),
  instances: z.array(instanceRowSchema),
  installedAt: z.string(),
});
export type ModuleShow = z.infer<typeof moduleShowSchema>;

export const logLineSchema = z.object({
  at: z.string(),
  module: z.string(),
  instance: z.string(),
  stream: z.enum(['stdout', 'stderr', 'log', 'kernel']),
  level: z.string(),
  text: z.string(),
});
export type LogLine = z.infer<typeof logLineSchema>;

/** What the kernel tells about itself; each carries a reason (DESIGN section 1, idea 9). */
export const eventSchema = z.object({
  seq: z.int(),
  at: z.string(),
  kind: z.string(),
  severity: z.enum(['debug', 'info', 'warn', 'error', 'critical']),
  zone: z.string().optional(),
  module: z.string().optional(),
  instance: z.string().optional(),
  code: z.string().optional(),
  reason: z.string(),
  details: z.record(z.string(), z.unknown()).optional(),
});
export type KernelEvent = z.infer<typeof eventSchema>;

export const configIssueSchema = z.object({
  file: z.string(),
  line: z.int(),
  column: z.int(),
  path: z.string(),
  message: z.string(),
  expected: z.string(),
  suggestion: z.string().optional(),
});
export const configChangeSchema = z.object({
  key: z.string(),
  before: z.string(),
  after: z.string(),
  effect: z.enum(['live', 'instances', 'restart']),
  applied: z.boolean(),
});
export const doctorCheckSchema = z.object({
  name: z.string(),
  status: z.enum(['ok', 'warning', 'failed']),
  observed: z.string(),
  remedy: z.nullable(z.string()),
});
export const healthSchema = z.object({ ok: z.boolean(), mode: z.enum(KERNEL_MODES), reasons: z.array(z.string()) });
