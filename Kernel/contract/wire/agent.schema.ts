/**
 * The protocol between the kernel and the agent inside an instance (DESIGN section 6).
 *
 * The transport is a WebSocket over the Unix socket `/run/kerneld/agent.sock`. The agent connects; the
 * kernel listens, one connection an instance. Everything the agent says is hostile input, since foreign
 * code shares its process: the kernel uses it as a hint and never as proof.
 *
 * ```
 * agent -> kernel  hello            request       first frame after the handshake, once per connection
 * kernel -> agent  assign.begin     request       blank instance only; names every file of the module
 * kernel -> agent  assign.chunk     request       content of one file, in order
 * kernel -> agent  assign.commit    request       check hashes, write to tmpfs, import, run start()
 * kernel -> agent  call             request       one function call; `$/cancel` aborts it
 * kernel -> agent  ping             request       answered by the event loop of the instance
 * kernel -> agent  stop             request       abort ctx.signal, run stop(), answer, stay connected
 * kernel -> agent  bus.deliver      notification  a message of the zone's user bus
 * kernel -> agent  output.credit    notification  that many more bytes of output may be sent
 * agent -> kernel  output           notification  captured console and log output, under credit
 * agent -> kernel  bus.publish      request
 * agent -> kernel  bus.subscribe    request
 * agent -> kernel  bus.unsubscribe  request
 * ```
 */
import { z } from 'zod';
import { TOPIC_PATTERN } from './agent.constants.ts';

export { CHUNK_BYTES, TOPIC_PATTERN } from './agent.constants.ts';

const digest = z.string().max(80);

export const helloParamsSchema = z.strictObject({
  protocol: z.int(),
  instance: z.string().max(32),
  /** What the agent believes; the kernel's own record decides. */
  assigned: z.nullable(z.strictObject({ module: z.string().max(64), digest })),
  node: z.string().max(64),
  v8: z.string().max(64),
});
export type HelloParams = z.infer<typeof helloParamsSchema>;

export const helloResultSchema = z.strictObject({
  protocol: z.int(),
  /** The instance ends itself when it has had no kernel for this long. */
  orphanTimeoutMs: z.number(),
  outputCreditBytes: z.number(),
  /** Filled in by the link: what the agent keeps itself under, so that an honest module is told, not killed. */
  maxFrameBytes: z.number().optional(),
  maxDepth: z.number().optional(),
  framesPerSecond: z.number().optional(),
  bytesPerSecond: z.number().optional(),
});
export type HelloResult = z.infer<typeof helloResultSchema>;

export const assignBeginParamsSchema = z.strictObject({
  module: z.string(),
  version: z.string(),
  digest: z.string(),
  /** Path of the module file to import, relative to the module's directory. */
  entry: z.string(),
  files: z.array(z.strictObject({ path: z.string(), bytes: z.int(), sha256: z.string() })),
  /** Functions that may be called; each must be exported. */
  functions: z.array(z.string()),
  /** Validated configuration values, given as `ctx.config`, frozen. */
  config: z.unknown(),
});
export type AssignBeginParams = z.infer<typeof assignBeginParamsSchema>;

export const assignChunkParamsSchema = z.strictObject({ path: z.string(), offset: z.int(), base64: z.string() });
export type AssignChunkParams = z.infer<typeof assignChunkParamsSchema>;

/** What loaded. `longRunning`: the module exports `start`. */
export const assignCommitResultSchema = z.object({
  digest,
  exports: z.array(z.string().max(128)).max(512),
  longRunning: z.boolean(),
});
export type AssignCommitResult = z.infer<typeof assignCommitResultSchema>;

export const callParamsSchema = z.strictObject({
  function: z.string(),
  params: z.unknown(),
  /** Time left when the frame was sent; becomes `ctx.deadline`. */
  timeoutMs: z.number(),
});
export type CallParams = z.infer<typeof callParamsSchema>;

export const pingResultSchema = z.object({ lagMs: z.number(), rssBytes: z.number(), inFlight: z.number() });

export const outputParamsSchema = z.strictObject({
  stream: z.enum(['stdout', 'stderr', 'log']),
  level: z.enum(['debug', 'info', 'warn', 'error']),
  text: z.string().max(65_536),
  /** Wall clock of the instance when it was said, milliseconds. */
  at: z.number(),
  /** Bytes lost before this line because the ring was full. */
  droppedBytes: z.int().nonnegative(),
});
export type OutputParams = z.infer<typeof outputParamsSchema>;

const topic = z.string().regex(TOPIC_PATTERN);
export const busPublishParamsSchema = z.strictObject({ topic, payload: z.unknown() });
export const busTopicParamsSchema = z.strictObject({ topic });
/** `from` is the module's name by the kernel's records. */
export const busDeliverParamsSchema = z.strictObject({ topic: z.string(), from: z.string(), payload: z.unknown() });
export type BusDeliverParams = z.infer<typeof busDeliverParamsSchema>;

/** What the kernel may ask an agent, with the shapes on both sides. */
export const AGENT_REQUESTS = {
  'assign.begin': { params: assignBeginParamsSchema, result: z.null() },
  'assign.chunk': { params: assignChunkParamsSchema, result: z.null() },
  'assign.commit': { params: z.null(), result: assignCommitResultSchema },
  call: { params: callParamsSchema, result: z.unknown() },
  ping: { params: z.null(), result: pingResultSchema },
  stop: { params: z.strictObject({ graceMs: z.number() }), result: z.null() },
} as const;
export type AgentRequestName = keyof typeof AGENT_REQUESTS;

/** What an agent may ask the kernel. */
export const KERNEL_REQUESTS = {
  hello: { params: helloParamsSchema, result: helloResultSchema },
  'bus.publish': { params: busPublishParamsSchema, result: z.strictObject({ delivered: z.int() }) },
  'bus.subscribe': { params: busTopicParamsSchema, result: z.null() },
  'bus.unsubscribe': { params: busTopicParamsSchema, result: z.null() },
} as const;
