/**
 * Canonical JSON as TUF uses it (the OLPC rules): members sorted, no white space, whole numbers only, in
 * texts only `"` and `\` escaped. What it yields here is JSON too, since control characters are refused.
 */
import { KernelError } from '../errors.ts';

const refuse = (what: string): never => {
  throw new KernelError('INVALID_PARAMS', `${what} has no canonical form`);
};

const writeText = (text: string): string => {
  if (/[\u0000-\u001f\u007f]/.test(text)) refuse('a text with control characters');
  if (!text.isWellFormed()) refuse('a text with half a surrogate pair');
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
};

/**
 * Writes plain JSON data in its one canonical form.
 *
 * @throws KernelError `INVALID_PARAMS` for fractions, control characters, half characters and what is not JSON
 */
export const canonicalJson = (value: unknown): string => {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return writeText(value);
  if (typeof value === 'number')
    return Number.isSafeInteger(value) ? String(value === 0 ? 0 : value) : refuse('a fraction');
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object') return refuse(`a ${typeof value}`);
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${writeText(name)}:${canonicalJson(member)}`).join(',')}}`;
};
