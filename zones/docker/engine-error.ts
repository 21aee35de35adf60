/** Turns what dockerode throws into codes of the closed table. */
import { STATUS_CODES } from 'node:http';
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
  if (status === null) {
    return new KernelError('ENGINE_UNREACHABLE', `the container engine did not ${what}: ${quoted(faultOf(thrown))}`, {
      cause: thrown,
      context: { socketPath },
      retryAfterMs: 1000,
    });
  }
  return new KernelError(
    'ENGINE_FAILED',
    `the container engine refused to ${what} (HTTP ${status}): ${quoted(wordsOf(thrown, status))}`,
    {
      cause: thrown,
      context: { status },
    },
  );
};

const MOST_WORDS = 500;
const quoted = (words: string): string => JSON.stringify(words.slice(0, MOST_WORDS));
const faultOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

/** The engine's own message; where it gave none, what its status means. Never docker-modem's wrapping of the two. */
const wordsOf = (thrown: unknown, status: number): string => {
  const { json } = thrown as { readonly json?: unknown };
  const message = (json as { readonly message?: unknown } | null | undefined)?.message;
  if (typeof message === 'string' && message.trim() !== '') return message.trim();
  return STATUS_CODES[status] ?? 'no reason given';
};
