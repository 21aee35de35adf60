/** Turns one hostile text frame into a checked message, or into the reason why not. */
import { KernelError } from '../../Kernel/contract/errors.ts';
import {
  errorFrameSchema,
  requestFrameSchema,
  resultFrameSchema,
  type RequestFrame,
  type RequestId,
} from '../../Kernel/contract/wire/jsonrpc.schema.ts';
import { agentError } from './agent-error.ts';
import { nestsDeeperThan } from './nesting.verdict.ts';

export type Frame =
  | { readonly kind: 'request'; readonly request: RequestFrame }
  | { readonly kind: 'result'; readonly id: RequestId; readonly result: unknown }
  | { readonly kind: 'error'; readonly id: RequestId; readonly error: KernelError };

const protocolError = (message: string, cause?: unknown): KernelError =>
  new KernelError('PROTOCOL', message, cause === undefined ? {} : { cause });

/**
 * Order matters: depth before parsing, parsing before the schema. The size was already bounded by the
 * WebSocket layer, before the frame was even collected.
 *
 * @throws KernelError `LIMIT_EXCEEDED` (too deep), `PROTOCOL` (not JSON, not JSON-RPC 2.0)
 */
export const parseFrame = (text: Buffer, maxDepth: number): Frame => {
  if (nestsDeeperThan(text, maxDepth)) {
    throw new KernelError('LIMIT_EXCEEDED', `a frame nests deeper than ${maxDepth} levels`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text.toString());
  } catch (cause) {
    throw protocolError('a frame is not JSON', cause);
  }
  if (typeof value !== 'object' || value === null) throw protocolError('a frame is not an object');
  if (Object.hasOwn(value, 'method')) {
    const parsed = requestFrameSchema.safeParse(value);
    if (!parsed.success) throw protocolError('a frame is not a JSON-RPC 2.0 request', parsed.error);
    return { kind: 'request', request: parsed.data };
  }
  if (Object.hasOwn(value, 'error')) {
    const parsed = errorFrameSchema.safeParse(value);
    if (!parsed.success) throw protocolError('a frame is not a JSON-RPC 2.0 error', parsed.error);
    return { kind: 'error', id: parsed.data.id, error: agentError(parsed.data.error) };
  }
  const parsed = resultFrameSchema.safeParse(value);
  if (!parsed.success || !Object.hasOwn(value, 'result')) {
    throw protocolError('a frame is not a JSON-RPC 2.0 reply', parsed.error);
  }
  return { kind: 'result', id: parsed.data.id, result: parsed.data.result };
};
