/** Turns what dockerode throws into codes of the closed table. */
import { KernelError } from '../../Kernel/contract/errors.ts';

/** The HTTP status of an answer that dockerode made an error of; null when there was no answer. */
export const httpStatusOf = (thrown: unknown): number | null => {
  const status = (thrown as { statusCode?: unknown } | null)?.statusCode;
  return typeof status === 'number' ? status : null;
};

/**
 * No answer at all is `ENGINE_UNREACHABLE`; an answer that refuses is `ENGINE_FAILED`.
 * The engine's words are bounded and escaped, since they may quote what an instance chose.
 */
export const toEngineError = (thrown: unknown, what: string, socketPath: string): KernelError => {
  if (thrown instanceof KernelError) return thrown;
  const status = httpStatusOf(thrown);
  const said = JSON.stringify(wordsOf(thrown).slice(0, 500));
  if (status === null) {
    return new KernelError('ENGINE_UNREACHABLE', `the container engine did not ${what}: ${said}`, {
      cause: thrown,
      context: { socketPath },
      retryAfterMs: 1000,
    });
  }
  return new KernelError('ENGINE_FAILED', `the container engine refused to ${what}: ${said}`, {
    cause: thrown,
    context: { status },
  });
};

const wordsOf = (thrown: unknown): string => {
  const message = (thrown as { json?: { message?: unknown } } | null)?.json?.message;
  if (typeof message === 'string') return message;
  return thrown instanceof Error ? thrown.message : String(thrown);
};
