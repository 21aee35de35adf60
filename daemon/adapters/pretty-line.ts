/** A log line for a terminal, made of its JSON form. One entry is always one line. */
import { inspect } from 'node:util';

const COLOURS: Readonly<Record<string, string>> = {
  debug: '\x1b[90m',
  info: '\x1b[36m',
  warn: '\x1b[33m',
  error: '\x1b[31m',
  critical: '\x1b[1;31m',
};
const RESET = '\x1b[0m';
const DIM = '\x1b[90m';

/**
 * Shows control characters instead of obeying them: a module's name or an error's text must not move the cursor,
 * retitle the terminal or begin a line that looks like the kernel's own. Covers C0, DEL, C1 and the Unicode line
 * and direction controls.
 */
export const escapeControls = (text: string): string =>
  text.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** @param json one line of the log, as pino writes it */
export const prettyLine = (json: string, colour: boolean): string => {
  const { at, level, message, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const name = String(level);
  const time = String(at).slice(11, 23);
  const label = name.toUpperCase().padEnd(8);
  const parts = Object.entries(fields).map(([key, value]) => `${escapeControls(key)}=${renderValue(value)}`);
  const tail = parts.length === 0 ? '' : ` ${parts.join(' ')}`;
  const text = escapeControls(typeof message === 'string' ? message : '');
  if (!colour) return `${time} ${label} ${text}${tail}\n`;
  return `${DIM}${time}${RESET} ${COLOURS[name] ?? ''}${label}${RESET} ${text}${DIM}${tail}${RESET}\n`;
};

const renderValue = (value: unknown): string => {
  if (typeof value === 'string') return /^[\w./:@+-]+$/.test(value) ? value : escapeControls(JSON.stringify(value));
  // The stack of an error stays in the JSON form; on a terminal its code and message say what to do.
  if (isErrorShape(value)) return escapeControls(JSON.stringify(`${value.code ?? value.name}: ${value.message}`));
  if (typeof value === 'object') return escapeControls(JSON.stringify(value));
  return inspect(value);
};

const isErrorShape = (value: unknown): value is { name: string; message: string; code?: string } =>
  typeof value === 'object' && value !== null && 'stack' in value && 'message' in value;
