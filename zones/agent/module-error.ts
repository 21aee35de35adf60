/** What of an error thrown by a module crosses the wire: message, name and code, bounded; never the stack. */
import { KernelError, type ErrorCode } from '../../Kernel/contract/errors.ts';
import { ERROR_MESSAGE_BYTES } from '../../Kernel/contract/wire/agent.constants.ts';

const DETAIL_CHARS = 256;

const bounded = (text: string, bytes: number): string => {
  if (Buffer.byteLength(text) <= bytes) return text;
  // One character too many is never half of one: cutting by characters, then by bytes of the whole.
  let cut = text.slice(0, bytes);
  while (Buffer.byteLength(cut) > bytes - 3) cut = cut.slice(0, Math.floor(cut.length * 0.9));
  return `${cut}…`;
};

/** Reads a property of something foreign, whose getters may throw. */
const read = (thrown: unknown, key: string): unknown => {
  try {
    return typeof thrown === 'object' && thrown !== null ? (thrown as Record<string, unknown>)[key] : undefined;
  } catch {
    return undefined; // a getter that throws says nothing
  }
};

const textOf = (thrown: unknown): string => {
  const message = read(thrown, 'message');
  if (typeof message === 'string') return message;
  try {
    return String(thrown);
  } catch {
    return 'something that cannot be shown'; // toString threw, or there is none
  }
};

/** @param code `MODULE_ERROR` for a call, `MODULE_LOAD_FAILED` while loading */
export const moduleError = (thrown: unknown, code: ErrorCode): KernelError => {
  const context: Record<string, string> = {};
  for (const key of ['name', 'code']) {
    const value = read(thrown, key);
    if (typeof value === 'string') context[key] = value.slice(0, DETAIL_CHARS);
  }
  return new KernelError(code, bounded(textOf(thrown), ERROR_MESSAGE_BYTES), { cause: thrown, context });
};

/** The stack for the module's own log, with causes; falls back to the message. */
export const describeThrown = (thrown: unknown): string => {
  const stack = read(thrown, 'stack');
  const own = typeof stack === 'string' ? stack : textOf(thrown);
  const cause = read(thrown, 'cause');
  return cause === undefined || cause === null ? own : `${own}\ncaused by: ${textOf(cause)}`;
};
