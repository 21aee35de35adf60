import type { Readable, Writable } from 'node:stream';
import type { Style } from './render/style.ts';

/** What the program touches of its process. */
export type Io = {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: { readonly [name: string]: string | undefined };
  readonly terminal: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean };
  /** Width of the terminal, where there is one. */
  readonly columns: number | undefined;
  /** Calls `fn` on SIGINT and SIGTERM; the returned function stops that. */
  readonly onInterrupt: (fn: () => void) => () => void;
};

/** The process's own. */
export const processIo = (): Io => ({
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  terminal: {
    stdin: process.stdin.isTTY === true,
    stdout: process.stdout.isTTY === true,
    stderr: process.stderr.isTTY === true,
  },
  columns: process.stdout.columns,
  onInterrupt: (fn) => {
    process.on('SIGINT', fn).on('SIGTERM', fn);
    return () => void process.off('SIGINT', fn).off('SIGTERM', fn);
  },
});

const DEFAULT_WIDTH = 80;

/** Colours on a terminal only, and never with `NO_COLOR` (https://no-color.org); 80 columns where nobody says more. */
export const styleOf = (io: Io, channel: 'stdout' | 'stderr'): Style => ({
  color: io.terminal[channel] && !io.env['NO_COLOR'] && io.env['TERM'] !== 'dumb',
  width: io.terminal[channel] ? Math.max(40, io.columns ?? DEFAULT_WIDTH) : DEFAULT_WIDTH,
});
