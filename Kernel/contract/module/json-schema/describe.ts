/** Short, bounded texts about schemas and values that may both be hostile. */
import { TYPE_BITS } from './compiled-schema.ts';

const shorten = (text: string, length: number): string => (text.length > length ? `${text.slice(0, length)}…` : text);

/** A value as JSON, cut before it is written, so that a large one costs nothing. */
export const quote = (value: unknown): string => {
  if (typeof value === 'string') return JSON.stringify(shorten(value, 60));
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return String(value);
};

/** What kind of value was found; texts are not shown, since they may be secret. */
export const showValue = (value: unknown): string => {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value;
};

export const describeTypes = (bits: number): string =>
  Object.entries(TYPE_BITS)
    .filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => name)
    .join(' or ');

/** A JSON Pointer (RFC 6901), bounded. */
export const toPointer = (path: readonly (string | number)[]): string =>
  shorten(
    path.map((part) => `/${shorten(String(part), 80).replaceAll('~', '~0').replaceAll('/', '~1')}`).join(''),
    300,
  );
