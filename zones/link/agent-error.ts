/**
 * Reads an error that an agent reports. The agent shares its process with foreign code, so the codes it
 * may use are those about its own work: a module must not make a caller believe that the kernel is in safe
 * mode, that a home is locked, or when to come back.
 */
import type { z } from 'zod';
import { isErrorCode, KernelError, type ErrorCode } from '../../Kernel/contract/errors.ts';
import { ERROR_MESSAGE_BYTES } from '../../Kernel/contract/wire/agent.constants.ts';
import type { errorFrameSchema } from '../../Kernel/contract/wire/jsonrpc.schema.ts';

const AGENT_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'METHOD_NOT_FOUND',
  'INVALID_PARAMS',
  'LIMIT_EXCEEDED',
  'DEADLINE_EXCEEDED',
  'CANCELLED',
  'CONFLICT',
  'STOPPING',
  'PAYLOAD_TOO_LARGE',
  'FUNCTION_NOT_FOUND',
  'MODULE_ERROR',
  'RESULT_INVALID',
  'MODULE_UNAVAILABLE',
  'MODULE_INVALID',
  'MODULE_LOAD_FAILED',
  'DIGEST_MISMATCH',
]);
const DETAIL_CHARS = 256;

const bounded = (text: string, chars: number): string => (text.length <= chars ? text : `${text.slice(0, chars - 1)}…`);

/** `name` and `code` of what the module threw; nothing else passes. */
const details = (raw: Record<string, unknown> | undefined): Record<string, string> => {
  const kept: Record<string, string> = {};
  for (const key of ['name', 'code'] as const) {
    const value = raw?.[key];
    if (typeof value === 'string') kept[key] = bounded(value, DETAIL_CHARS);
  }
  return kept;
};

/** An error as the kernel repeats it: a code an agent may use, a bounded message, no advice to retry. */
export const agentError = (error: z.infer<typeof errorFrameSchema>['error']): KernelError => {
  const claimed = error.data?.code;
  const code = isErrorCode(claimed) && AGENT_CODES.has(claimed) ? claimed : 'MODULE_ERROR';
  return new KernelError(code, bounded(error.message, ERROR_MESSAGE_BYTES), {
    context: details(error.data?.details),
  });
};
