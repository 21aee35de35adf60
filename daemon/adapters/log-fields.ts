/**
 * Makes the fields of a log line safe to write: secrets out, errors readable, everything bounded. Works on a copy;
 * what callers pass in is never changed.
 */
import type { LogFields } from '../../Kernel/contract/ports.ts';

const MAX_DEPTH = 6;
const MAX_ENTRIES = 100;
const MAX_TEXT = 8_192;
const MAX_CAUSES = 4;

/** A field of such a name is not written, at any depth. `key` counts as a word of its own only: `monkey` is none. */
const SECRET_NAME = /secret|token|passw|credential|authorization|cookie|apikey/i;
const KEY_NAME = /^key$|[_-]key$|[a-z0-9]Key$|^KEY$|_KEY$/;
const isSecretName = (name: string): boolean => SECRET_NAME.test(name) || KEY_NAME.test(name);
const REDACTED = '[redacted]';

/** Names that every line has already; a field of that name gets an underscore, so that it cannot forge them. */
const RESERVED: ReadonlySet<string> = new Set(['level', 'at', 'message']);

export const safeFields = (fields: LogFields): Record<string, unknown> => {
  const safe = safeObject(fields, MAX_DEPTH);
  for (const name of RESERVED) {
    if (!Object.hasOwn(safe, name)) continue;
    safe[`${name}_`] = safe[name];
    delete safe[name];
  }
  return safe;
};

const safeObject = (object: object, depth: number): Record<string, unknown> => {
  const safe: Record<string, unknown> = {};
  let entries = 0;
  for (const [name, value] of Object.entries(object)) {
    if ((entries += 1) > MAX_ENTRIES) {
      safe['…'] = 'more entries left out';
      break;
    }
    // As a property of its own, so that a field named __proto__ stays a field.
    Object.defineProperty(safe, name.slice(0, 128), {
      value: isSecretName(name) && value !== null && value !== undefined ? REDACTED : safeValue(value, depth - 1),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return safe;
};

const safeValue = (value: unknown, depth: number): unknown => {
  switch (typeof value) {
    case 'string':
      return value.length <= MAX_TEXT ? value : `${value.slice(0, MAX_TEXT)}… (${value.length} characters)`;
    case 'bigint':
    case 'symbol':
      return String(value);
    case 'function':
      return '[function]';
    case 'object': {
      if (value === null) return null;
      if (value instanceof Error) return safeError(value, depth, MAX_CAUSES);
      if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
      if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
      if (depth <= 0) return '[deeper]';
      if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((item) => safeValue(item, depth - 1));
      if (value instanceof Map) return safeObject(Object.fromEntries(value) as Record<string, unknown>, depth);
      if (value instanceof Set) return safeValue([...value], depth);
      return safeObject(value, depth);
    }
    default:
      return value;
  }
};

/** Stacks belong in the kernel's log, and only there. */
const safeError = (error: Error, depth: number, causesLeft: number): Record<string, unknown> => ({
  name: error.name,
  ...('code' in error ? { code: safeValue(error.code, 0) } : {}),
  message: safeValue(error.message, 0),
  ...('context' in error && depth > 0 ? { context: safeValue(error.context, depth - 1) } : {}),
  stack: safeValue(error.stack ?? '', 0),
  ...(error.cause === undefined
    ? {}
    : {
        cause:
          error.cause instanceof Error && causesLeft > 0
            ? safeError(error.cause, depth - 1, causesLeft - 1)
            : safeValue(error.cause instanceof Error ? error.cause.message : error.cause, depth - 1),
      }),
});
