/**
 * The kernel's log (K8): pino, one JSON line an entry, into `kernel.log` and to standard output; there in a form
 * for people when it is a terminal. Critical entries are on the disk before the call returns.
 */
import { isatty } from 'node:tty';
import { pino } from 'pino';
import type { LogLevel as ConfiguredLevel } from '../../Kernel/contract/effective-config.ts';
import type { Log, LogFields } from '../../Kernel/contract/ports.ts';
import { createFdSink, type FdSink } from './fd-sink.ts';
import { safeFields } from './log-fields.ts';
import { escapeControls, prettyLine } from './pretty-line.ts';
import { openRotatingFile, type RotatingFileOptions } from './rotating-file.ts';

const LEVELS = { debug: 20, info: 30, warn: 40, error: 50, critical: 60 } as const;
const CRITICAL = LEVELS.critical;

export type LogOptions = {
  readonly level: ConfiguredLevel;
  /** `kernel.log`; null: standard output only, as before the home is known. */
  readonly file: RotatingFileOptions | null;
  /** Descriptor of standard output, or where lines go instead; null: nowhere. */
  readonly output: 1 | 2 | Pick<FdSink, 'write' | 'flush' | 'dropped' | 'gone'> | null;
  /** For people instead of programs; by default when the descriptor is a terminal. */
  readonly pretty?: boolean;
  readonly wallMs?: () => number;
};

export type KernelLog = Log &
  Disposable & {
    readonly setLevel: (level: ConfiguredLevel) => void;
    /** Lines that `kernel.log` lacks, and lines that a slow reader of standard output did not get. */
    readonly lost: () => { readonly file: number; readonly output: number };
    /** Waits for standard output; the file needs none. */
    readonly flush: (timeoutMs: number) => Promise<void>;
  };

/** Looks at a count of losses after each line: tells that they begin, and how many they were when a line got through. */
const createLossReport = (
  count: () => number,
  onBegin: () => void,
  onOver: (missing: number) => void,
): (() => void) => {
  let seen = 0;
  let told = 0;
  let losing = false;
  return () => {
    const now = count();
    if (now !== seen) {
      if (!losing) onBegin();
      losing = true;
      // The report may have been lost as well.
      seen = count();
      return;
    }
    if (!losing) return;
    losing = false;
    const missing = now - told;
    told = now;
    onOver(missing);
  };
};

export const createLog = (options: LogOptions): KernelLog => {
  const output = typeof options.output === 'number' ? createFdSink(options.output) : options.output;
  const terminal = typeof options.output === 'number' && isatty(options.output);
  const pretty = options.pretty ?? terminal;
  const file = options.file === null ? null : openRotatingFile(options.file);
  const wallMs = options.wallMs ?? Date.now;
  const destination = {
    // pino sets this before each write to a destination that asks for metadata.
    lastLevel: 0,
    [pino.symbols.needsMetadataGsym]: true as const,
    write: (json: string): void => {
      // JSON leaves C1 controls and Unicode line ends as they are; terminals and some line readers obey them.
      const line = `${escapeControls(json.slice(0, -1))}\n`;
      file?.append(line, destination.lastLevel >= CRITICAL);
      output?.write(pretty ? prettyLine(line, terminal) : line);
    },
  };

  const root = pino(
    {
      level: options.level,
      customLevels: LEVELS,
      useOnlyCustomLevels: true,
      base: null,
      messageKey: 'message',
      timestamp: () => `,"at":"${new Date(wallMs()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );

  // Each of the two is told through the other one when it begins, and with a count once it is over.
  const reports = [
    createLossReport(
      () => file?.lost() ?? 0,
      () => root.warn('lines of this log are being lost'),
      (missing) => root.warn({ missing }, 'lines of this log were lost'),
    ),
    createLossReport(
      () => output?.dropped() ?? 0,
      () => root.warn('standard output does not keep up'),
      (missing) => root.warn({ missing }, 'lines are missing on standard output'),
    ),
  ];
  let goneTold = false;
  const reportGone = (): void => {
    if (goneTold || output?.gone() !== true) return;
    goneTold = true;
    root.warn('standard output is gone');
  };
  const wrap = (fields: Record<string, unknown>): Log => {
    const line =
      (level: keyof typeof LEVELS) =>
      (message: string, more?: LogFields): void => {
        if (LEVELS[level] < root.levelVal) return;
        root[level](more === undefined ? fields : { ...fields, ...safeFields(more) }, message);
        reportGone();
        for (const report of reports) report();
      };
    return {
      debug: line('debug'),
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
      critical: line('critical'),
      child: (more) => wrap({ ...fields, ...safeFields(more) }),
    };
  };

  return {
    ...wrap({}),
    setLevel: (level) => {
      root.level = level;
    },
    lost: () => ({ file: file?.lost() ?? 0, output: output?.dropped() ?? 0 }),
    flush: (timeoutMs) => output?.flush(timeoutMs) ?? Promise.resolve(),
    [Symbol.dispose]: () => file?.[Symbol.dispose](),
  };
};
