/**
 * JSON-RPC 2.0 as kerneld speaks it (https://www.jsonrpc.org/specification, DESIGN section 6): one frame a
 * message, no batches (clause 6 is left out on purpose: a batch multiplies work under one limit check),
 * ids are strings or integers, and errors carry a closed code in `data.code`.
 */
import { z } from 'zod';

export const requestIdSchema = z.union([z.string().min(1).max(64), z.int()]);
export type RequestId = z.infer<typeof requestIdSchema>;

const errorObjectSchema = z.object({
  code: z.int(),
  message: z.string().max(16_384),
  data: z
    .object({
      code: z.string().max(64),
      retryAfterMs: z.number().nonnegative().optional(),
      details: z.record(z.string(), z.unknown()).optional(),
    })
    .optional(),
});

/** A request (has `id`) or a notification (has none). */
export const requestFrameSchema = z.strictObject({
  jsonrpc: z.literal('2.0'),
  id: requestIdSchema.optional(),
  method: z.string().min(1).max(64),
  params: z.unknown().optional(),
});
export type RequestFrame = z.infer<typeof requestFrameSchema>;

/** A reply: exactly one of `result` and `error` (clause 5). */
export const errorFrameSchema = z.strictObject({
  jsonrpc: z.literal('2.0'),
  id: requestIdSchema,
  error: errorObjectSchema,
});
export const resultFrameSchema = z.strictObject({
  jsonrpc: z.literal('2.0'),
  id: requestIdSchema,
  result: z.unknown(),
});

export { CANCEL_METHOD } from './agent.constants.ts';
/** Progress of a request, or an item of a stream: `{ id, seq, value }`. */
export const PROGRESS_METHOD = '$/progress';
/** Grants a stream more items: `{ id, items }`. */
export const CREDIT_METHOD = '$/credit';

export const cancelParamsSchema = z.strictObject({ id: requestIdSchema });
export const progressParamsSchema = z.strictObject({ id: requestIdSchema, seq: z.int(), value: z.unknown() });
export const creditParamsSchema = z.strictObject({ id: requestIdSchema, items: z.int().min(1).max(10_000) });

export { encodeError } from './error-object.ts';
