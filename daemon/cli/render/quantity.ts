import { formatSize } from '../../../Kernel/contract/units.ts';

const round = (value: number): string => String(Math.round(value * 10) / 10);

/** Bytes for people: exact where that is short, else to a tenth. */
export const sizeText = (bytes: number): string => {
  const exact = formatSize(Math.round(bytes));
  if (exact.length <= 7) return exact;
  const unit = bytes >= 1024 ** 3 ? 'GiB' : bytes >= 1024 ** 2 ? 'MiB' : 'KiB';
  return `${round(bytes / (unit === 'GiB' ? 1024 ** 3 : unit === 'MiB' ? 1024 ** 2 : 1024))}${unit}`;
};

/** A span of time for people, two units at most: `812ms`, `3.4s`, `3m 12s`, `2d 4h`. */
export const spanText = (ms: number): string => {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  if (ms < 60_000) return `${round(ms / 1000)}s`;
  const seconds = Math.floor(ms / 1000);
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86_400)];
  if (hours === 0) return `${minutes}m ${seconds % 60}s`;
  return days === 0 ? `${hours}h ${minutes % 60}m` : `${days}d ${hours % 24}h`;
};

/** `2026-11-21 05:24:06Z`; something that is no time stays as it is. */
export const timeText = (iso: string): string =>
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(iso) ? `${iso.slice(0, 10)} ${iso.slice(11, 19)}Z` : iso;

/** A named limit: the unit at the end of its name moves into the value (`memoryBytes` -> `memory 64MiB`). */
export const limitText = (name: string, value: number): string => {
  if (name.endsWith('Bytes')) return `${name.slice(0, -5)} ${sizeText(value)}`;
  if (name.endsWith('Ms')) return `${name.slice(0, -2)} ${spanText(value)}`;
  return `${name} ${value}`;
};
