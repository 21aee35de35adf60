/** All operations of the kernel. Adding a capability is adding one declaration here and one handler. */
import { z } from 'zod';
import { operation } from './define.ts';
import {
  configChangeSchema,
  configIssueSchema,
  digestSchema,
  doctorCheckSchema,
  eventSchema,
  healthSchema,
  logLineSchema,
  moduleNameSchema,
  moduleShowSchema,
  statusSchema,
  zoneInspectSchema,
  zoneNameSchema,
} from './shapes.ts';

const none = z.strictObject({});
const zoneParams = z.strictObject({ zone: zoneNameSchema });
const moduleParams = z.strictObject({ module: moduleNameSchema });
const zoneResult = z.object({ zone: zoneNameSchema, state: z.string(), reason: z.nullable(z.string()) });
const kernel = { type: 'kernel' } as const;
const zone = { type: 'zone', param: 'zone' } as const;
const module = { type: 'module', param: 'module' } as const;
const query = { kind: 'query', risk: 'low', sockets: ['operator'], idempotent: true, timeoutMs: 10_000 } as const;
const change = {
  kind: 'command',
  risk: 'medium',
  sockets: ['operator'],
  idempotent: false,
  timeoutMs: 60_000,
} as const;

/** Bytes of an artifact that one upload may hold. */
export const MAX_UPLOAD_BYTES = 16 * 1024 * 1024;

export const OPERATIONS = {
  'kernel.status': operation({
    ...query,
    summary: 'Show mode, zones, instances and modules',
    params: none,
    result: statusSchema,
    action: 'kernel:read',
    resource: kernel,
    safeMode: true,
  }),
  'kernel.health': operation({
    ...query,
    summary: 'Tell whether the kernel is able to serve',
    params: none,
    result: healthSchema,
    action: 'kernel:read',
    resource: kernel,
    safeMode: true,
  }),
  'kernel.diagnostics': operation({
    ...query,
    summary: 'Show internal figures: queues, lag, sockets, memory',
    params: none,
    result: z.record(z.string(), z.unknown()),
    action: 'kernel:read',
    resource: kernel,
    safeMode: true,
  }),
  'kernel.doctor': operation({
    ...query,
    summary: 'Check engine, image, seccomp, disk, sockets and clock',
    params: none,
    result: z.object({ ok: z.boolean(), checks: z.array(doctorCheckSchema) }),
    action: 'kernel:read',
    resource: kernel,
    safeMode: true,
    timeoutMs: 30_000,
  }),
  'event.follow': operation({
    ...query,
    kind: 'stream',
    timeoutMs: 0,
    summary: 'Show recent events and follow new ones',
    params: z.strictObject({ follow: z.boolean().default(false), limit: z.int().min(0).max(10_000).default(50) }),
    result: eventSchema,
    action: 'event:read',
    resource: kernel,
    safeMode: true,
  }),
  'zone.list': operation({
    ...query,
    summary: 'List the zones',
    params: none,
    action: 'zone:read',
    resource: kernel,
    safeMode: true,
    result: z.array(
      z.object({
        name: zoneNameSchema,
        state: z.string(),
        reason: z.nullable(z.string()),
        instances: z.int(),
        modules: z.int(),
        memoryBytes: z.number(),
        cpus: z.number(),
      }),
    ),
  }),
  'zone.inspect': operation({
    ...query,
    summary: 'Show limits, seccomp and probe, namespaces, uptime, restarts and last exits of a zone',
    params: zoneParams,
    result: zoneInspectSchema,
    action: 'zone:read',
    resource: zone,
    safeMode: true,
  }),
  'zone.start': operation({
    ...change,
    idempotent: true,
    summary: 'Start a zone and its modules',
    params: zoneParams,
    result: zoneResult,
    action: 'zone:start',
    resource: zone,
    safeMode: false,
  }),
  'zone.stop': operation({
    ...change,
    idempotent: true,
    summary: 'Drain and stop a zone',
    params: zoneParams,
    result: zoneResult,
    action: 'zone:stop',
    resource: zone,
    safeMode: true,
  }),
  'zone.restart': operation({
    ...change,
    summary: 'Stop and start a zone; clears quarantines in it',
    params: zoneParams,
    result: zoneResult,
    action: 'zone:restart',
    resource: zone,
    safeMode: false,
  }),
  'module.list': operation({
    ...query,
    summary: 'List the installed modules',
    params: none,
    result: z.array(moduleShowSchema),
    action: 'module:read',
    resource: kernel,
    safeMode: true,
  }),
  'module.show': operation({
    ...query,
    summary: 'Show one module',
    params: moduleParams,
    result: moduleShowSchema,
    action: 'module:read',
    resource: module,
    safeMode: true,
  }),
  'module.call': operation({
    ...change,
    risk: 'low',
    summary: 'Call a function of a module',
    params: z.strictObject({
      module: moduleNameSchema,
      function: z.string().min(1).max(128),
      params: z.unknown(),
      timeoutMs: z.number().min(1).max(86_400_000).optional(),
    }),
    result: z.unknown(),
    action: 'module:call',
    resource: module,
    safeMode: true,
    timeoutMs: 0,
  }),
  'upload.open': operation({
    ...change,
    risk: 'low',
    summary: 'Begin to send an artifact',
    params: z.strictObject({ bytes: z.int().min(1).max(MAX_UPLOAD_BYTES), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
    result: z.object({ upload: z.string() }),
    action: 'module:install',
    resource: kernel,
    safeMode: false,
  }),
  'upload.write': operation({
    ...change,
    risk: 'low',
    idempotent: true,
    summary: 'Send one part of an artifact, in order',
    params: z.strictObject({ upload: z.string().max(64), offset: z.int().min(0), base64: z.base64().max(1_400_000) }),
    result: z.object({ received: z.int() }),
    action: 'module:install',
    resource: kernel,
    safeMode: false,
  }),
  'module.install': operation({
    ...change,
    summary: 'Install an uploaded artifact into a zone and start it',
    params: z.strictObject({ upload: z.string().max(64), zone: zoneNameSchema.optional() }),
    result: z.object({
      module: z.string(),
      version: z.string(),
      digest: digestSchema,
      zone: zoneNameSchema,
      generation: z.int(),
      signed: z.boolean(),
      phase: z.string(),
    }),
    action: 'module:install',
    resource: kernel,
    safeMode: false,
  }),
  'module.restart': operation({
    ...change,
    summary: 'Replace the instances of a module; clears its quarantine',
    params: moduleParams,
    result: moduleShowSchema,
    action: 'module:restart',
    resource: module,
    safeMode: false,
  }),
  'module.remove': operation({
    ...change,
    summary: 'Stop a module and remove it',
    params: moduleParams,
    result: z.object({ module: z.string(), removed: z.boolean() }),
    action: 'module:remove',
    resource: module,
    safeMode: false,
  }),
  'module.logs': operation({
    ...query,
    kind: 'stream',
    timeoutMs: 0,
    summary: 'Show what a module printed and follow it',
    params: z.strictObject({
      module: moduleNameSchema,
      follow: z.boolean().default(false),
      limit: z.int().min(0).max(10_000).default(100),
    }),
    result: logLineSchema,
    action: 'module:read',
    resource: module,
    safeMode: true,
  }),
  'config.check': operation({
    ...query,
    summary: 'Check kernel.yaml without applying it',
    params: none,
    action: 'config:read',
    resource: kernel,
    safeMode: true,
    result: z.object({
      ok: z.boolean(),
      file: z.string(),
      issues: z.array(configIssueSchema),
      changes: z.array(configChangeSchema),
    }),
  }),
  'config.show': operation({
    ...query,
    summary: 'Show effective values and where each comes from',
    params: none,
    action: 'config:read',
    resource: kernel,
    safeMode: true,
    result: z.object({
      file: z.string(),
      values: z.array(z.object({ key: z.string(), value: z.string(), from: z.string() })),
    }),
  }),
  'config.reload': operation({
    ...change,
    summary: 'Check kernel.yaml and apply what can be applied live',
    params: none,
    action: 'config:reload',
    resource: kernel,
    safeMode: false,
    result: z.object({ file: z.string(), changes: z.array(configChangeSchema) }),
  }),
} as const;

export type Operations = typeof OPERATIONS;
export type OperationName = keyof Operations;
/** Parsed parameters, as a handler gets them. */
export type OperationParams<N extends OperationName> = z.output<Operations[N]['params']>;
/** Parameters as a caller writes them. */
export type OperationInput<N extends OperationName> = z.input<Operations[N]['params']>;
/** The result, or for a stream one item of it. */
export type OperationResult<N extends OperationName> = z.output<Operations[N]['result']>;
export type StreamName = { [N in OperationName]: Operations[N]['kind'] extends 'stream' ? N : never }[OperationName];
export type UnaryName = Exclude<OperationName, StreamName>;
