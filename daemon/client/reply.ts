/**
 * Reads JSON-RPC replies without zod: loading zod and the declarations takes longer than the rest of
 * `kernelctl status` together (measured: 130 ms of 230 ms).
 */
import { ERROR_CODES, fromErrorBody, type ErrorCode, type KernelError } from '../../Kernel/contract/errors.ts';

/** What a request came to. `id` is null when the peer could not tell which request it refused. */
export type Reply = {
  readonly id: string | number | null;
  readonly outcome:
    | { readonly ok: true; readonly result: unknown }
    | { readonly ok: false; readonly error: KernelError };
};

/** Replies larger than this are refused. */
export const MAX_REPLY_BYTES = 64 * 1024 * 1024;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A peer that knows only JSON-RPC's own numbers, as a foreign server, still gets its meaning across. */
const codeOf = (rpcCode: unknown): ErrorCode => {
  const entry = Object.entries(ERROR_CODES).find(([, row]) => row.rpcCode === rpcCode);
  return entry === undefined ? 'INTERNAL' : (entry[0] as ErrorCode);
};

/** Reads the body that plain HTTP routes fail with: `{ error: { code, message, … } }`; null: this is not one. */
export const readErrorBody = (body: unknown): KernelError | null => {
  const error = isRecord(body) ? body['error'] : undefined;
  return isRecord(error) && typeof error['code'] === 'string' ? readError({ ...error, data: error }) : null;
};

const readError = (error: Record<string, unknown>): KernelError => {
  const data = isRecord(error['data']) ? error['data'] : {};
  const { code, retryAfterMs, details } = data;
  return fromErrorBody({
    code: typeof code === 'string' ? code : codeOf(error['code']),
    message: typeof error['message'] === 'string' ? error['message'] : 'the kernel gave no message',
    ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
    ...(isRecord(details) ? { details } : {}),
  });
};

/** Reads a reply (JSON-RPC 2.0 clause 5: exactly one of `result` and `error`); null: this is not one. */
export const readReply = (frame: unknown): Reply | null => {
  if (!isRecord(frame) || frame['jsonrpc'] !== '2.0' || 'method' in frame) return null;
  const id = frame['id'];
  if (id !== null && typeof id !== 'string' && typeof id !== 'number') return null;
  const error = frame['error'];
  if (isRecord(error)) return { id, outcome: { ok: false, error: readError(error) } };
  return 'result' in frame ? { id, outcome: { ok: true, result: frame['result'] } } : null;
};
