/**
 * Sizes and times as an operator writes them: `256MiB`, `1500ms`. Bare numbers are refused, because
 * nobody can tell later what they meant.
 */

/** The result of reading a written quantity; `reason` says what was expected. */
export type Quantity = { readonly ok: true; readonly value: number } | { readonly ok: false; readonly reason: string };

const SIZE_UNITS = new Map([
  ['B', 1],
  ['KiB', 1024],
  ['MiB', 1024 ** 2],
  ['GiB', 1024 ** 3],
  ['TiB', 1024 ** 4],
]);
const TIME_UNITS = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

const parseQuantity = (text: string, units: ReadonlyMap<string, number>, expected: string): Quantity => {
  const match = /^(\d+(?:\.\d+)?)([A-Za-z]+)$/.exec(text.trim());
  const unit = match?.[2] === undefined ? undefined : units.get(match[2]);
  if (match?.[1] === undefined || unit === undefined) return { ok: false, reason: expected };
  const value = Number(match[1]) * unit;
  if (!Number.isSafeInteger(value)) return { ok: false, reason: `${expected}, a whole number of the smallest unit` };
  return { ok: true, value };
};

/** Reads a size such as `256MiB` into bytes. Units: B, KiB, MiB, GiB, TiB. */
export const parseSize = (text: string): Quantity =>
  parseQuantity(text, SIZE_UNITS, 'a size with unit B, KiB, MiB, GiB or TiB, as 256MiB');

/** Reads a time such as `1500ms` into milliseconds. Units: ms, s, m, h, d. */
export const parseDuration = (text: string): Quantity =>
  parseQuantity(text, TIME_UNITS, 'a time with unit ms, s, m, h or d, as 1500ms');

const format = (value: number, units: ReadonlyMap<string, number>): string => {
  let best: [string, number] | undefined;
  for (const entry of units) if (value % entry[1] === 0 && (value !== 0 || best === undefined)) best = entry;
  const [unit, factor] = best ?? ['', 1];
  return `${value / factor}${unit}`;
};

/** Writes bytes in the largest unit that loses nothing: 268435456 -> `256MiB`. */
export const formatSize = (bytes: number): string => format(bytes, SIZE_UNITS);

/** Writes milliseconds in the largest unit that loses nothing: 90000 -> `90s`. */
export const formatDuration = (ms: number): string => format(ms, TIME_UNITS);
