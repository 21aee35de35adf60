/**
 * What modules print: bounded, rotated files of JSON lines, one directory a module. Everything here came out of
 * foreign code; JSON keeps whatever it holds on its own line.
 *
 * INVARIANTS
 * - `append` never waits, never throws and never touches the disk: lines wait in memory, up to a bound, and are
 *   then dropped and counted; a full or slow disk costs output, nothing else.
 * - All file work of one module goes through one chain, so that reading sees no rotation half done.
 * - Following has no seam: it joins inside that chain, when nothing waits to be written.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseModuleName } from '../../Kernel/contract/ids.ts';
import { logLineSchema, type LogLine } from '../../Kernel/contract/operations/shapes.ts';
import type { Clock } from '../../Kernel/contract/ports.ts';
import { createLineFeed, type LineFeed } from './line-feed.ts';
import { appendRotating, readTail } from './line-files.ts';

export type OutputLogLimits = { readonly maxFileBytes: number; readonly files: number };

export type OutputLog = AsyncDisposable & {
  readonly append: (module: string, line: LogLine) => void;
  /** The newest `limit` lines, oldest first. */
  readonly read: (module: string, options: { readonly limit: number }) => Promise<LogLine[]>;
  /** As `read`, then with `follow` each new line until the signal aborts. */
  readonly follow: (
    module: string,
    options: { readonly limit: number; readonly follow: boolean; readonly signal: AbortSignal },
  ) => AsyncIterableIterator<LogLine>;
  /** Deletes what a module printed; followers end. */
  readonly remove: (module: string) => Promise<void>;
  readonly setLimits: (limits: OutputLogLimits) => void;
  readonly figures: () => OutputFigures;
  /** Writes what waits. */
  readonly flush: () => Promise<void>;
};

export type OutputFigures = {
  readonly modules: number;
  readonly waitingBytes: number;
  readonly droppedLines: number;
  /** Lines of the files that were not readable, as after a power cut. */
  readonly brokenLines: number;
};

/** Lines are written together this long after the first. */
const BATCH_DELAY_MS = 25;
const MAX_WAITING_BYTES_PER_MODULE = 1024 * 1024;
const MAX_WAITING_BYTES = 8 * 1024 * 1024;
/** A longer text is cut; the agent cuts too, but it is not trusted. */
const MAX_TEXT = 16 * 1024;
const FOLLOW_QUEUE_LINES = 10_000;
/** Modules remembered before idle ones are forgotten. */
const MAX_WRITERS = 512;
const FILE_NAME = 'output.jsonl';

type Writer = {
  readonly directory: string;
  waiting: string[];
  waitingBytes: number;
  /** Dropped since the last line said so. */
  unreported: number;
  scheduled: boolean;
  /** Pieces of file work not yet done. */
  jobs: number;
  chain: Promise<unknown>;
  readonly feeds: Set<LineFeed>;
};

export const createOutputLog = (options: {
  readonly dir: string;
  readonly limits: OutputLogLimits;
  readonly clock: Clock;
}): OutputLog => {
  const { clock } = options;
  const writers = new Map<string, Writer>();
  let { limits } = options;
  let waitingBytes = 0;
  let droppedLines = 0;
  let brokenLines = 0;

  const writerOf = (module: string): Writer => {
    const known = writers.get(module);
    if (known !== undefined) return known;
    if (writers.size >= MAX_WRITERS) forgetIdle();
    const writer: Writer = {
      // The name becomes a path, so it is checked here too, whoever calls.
      directory: join(options.dir, parseModuleName(module)),
      waiting: [],
      waitingBytes: 0,
      unreported: 0,
      scheduled: false,
      jobs: 0,
      chain: Promise.resolve(),
      feeds: new Set(),
    };
    writers.set(module, writer);
    return writer;
  };

  /** Asking for the output of modules that never were must not fill the memory. */
  const forgetIdle = (): void => {
    for (const [module, writer] of writers) {
      if (writer.jobs === 0 && writer.waiting.length === 0 && writer.unreported === 0 && writer.feeds.size === 0)
        writers.delete(module);
    }
  };

  const inChain = <T>(writer: Writer, work: () => Promise<T>): Promise<T> => {
    writer.jobs += 1;
    const result = writer.chain.then(work).finally(() => (writer.jobs -= 1));
    writer.chain = result.catch(() => undefined);
    return result;
  };

  const drop = (writer: Writer, lines: number): void => {
    writer.unreported += lines;
    droppedLines += lines;
  };

  const enqueue = (writer: Writer, json: string): void => {
    const bytes = Buffer.byteLength(json);
    if (writer.waitingBytes + bytes > MAX_WAITING_BYTES_PER_MODULE || waitingBytes + bytes > MAX_WAITING_BYTES) {
      return drop(writer, 1);
    }
    writer.waiting.push(json);
    writer.waitingBytes += bytes;
    waitingBytes += bytes;
  };

  const writeWaiting = async (writer: Writer): Promise<void> => {
    if (writer.waiting.length === 0) return;
    const lines = writer.waiting;
    const bytes = writer.waitingBytes;
    writer.waiting = [];
    writer.waitingBytes = 0;
    try {
      await appendRotating(join(writer.directory, FILE_NAME), lines, limits);
    } catch {
      // Disk full, or the directory was taken away: these lines are gone, and the next that can be written says so.
      drop(writer, lines.length);
    } finally {
      waitingBytes -= bytes;
    }
  };

  const schedule = (writer: Writer): void => {
    if (writer.scheduled) return;
    writer.scheduled = true;
    clock.after(BATCH_DELAY_MS, () => {
      writer.scheduled = false;
      void inChain(writer, () => writeWaiting(writer));
    });
  };

  const kernelLine = (module: string, text: string): LogLine => ({
    at: new Date(clock.wallMs()).toISOString(),
    module,
    instance: '',
    stream: 'kernel',
    level: 'warn',
    text,
  });

  const append = (module: string, line: LogLine): void => {
    const writer = writerOf(module);
    if (writer.unreported > 0 && writer.waitingBytes < MAX_WAITING_BYTES_PER_MODULE / 2) {
      const notice = kernelLine(module, `${writer.unreported} lines of output were dropped`);
      writer.unreported = 0;
      enqueue(writer, JSON.stringify(notice));
      for (const feed of writer.feeds) feed.put(notice);
    }
    const bounded = line.text.length <= MAX_TEXT ? line : { ...line, text: `${line.text.slice(0, MAX_TEXT)}…` };
    enqueue(writer, JSON.stringify(bounded));
    for (const feed of writer.feeds) feed.put(bounded);
    schedule(writer);
  };

  const tail = async (writer: Writer, limit: number): Promise<LogLine[]> => {
    const found = await readTail(join(writer.directory, FILE_NAME), limit, limits, parseLine);
    brokenLines += found.broken;
    return found.lines;
  };

  const follow: OutputLog['follow'] = async function* (module, { limit, follow: goOn, signal }) {
    const writer = writerOf(module);
    using feed = createLineFeed(FOLLOW_QUEUE_LINES, signal, (missed) =>
      kernelLine(module, `${missed} lines were too many for this reader`),
    );
    const history = await inChain(writer, async () => {
      while (writer.waiting.length > 0) await writeWaiting(writer);
      // Nothing waits and nobody else writes now: what is appended from here on reaches the feed and only the feed.
      if (goOn) writer.feeds.add(feed);
      return tail(writer, limit);
    });
    try {
      yield* history;
      if (goOn) yield* feed.lines();
    } finally {
      writer.feeds.delete(feed);
    }
  };

  const remove = async (module: string): Promise<void> => {
    const writer = writerOf(module);
    await inChain(writer, async () => {
      waitingBytes -= writer.waitingBytes;
      writer.waiting = [];
      writer.waitingBytes = 0;
      for (const feed of writer.feeds) feed[Symbol.dispose]();
      await rm(writer.directory, { recursive: true, force: true });
      writers.delete(module);
    });
  };

  const flush = async (): Promise<void> => {
    await Promise.all([...writers.values()].map((writer) => inChain(writer, () => writeWaiting(writer))));
  };

  return {
    append,
    read: (module, { limit }) => {
      const writer = writerOf(module);
      return inChain(writer, async () => {
        await writeWaiting(writer);
        return tail(writer, limit);
      });
    },
    follow,
    remove,
    setLimits: (next) => {
      limits = next;
    },
    figures: () => ({ modules: writers.size, waitingBytes, droppedLines, brokenLines }),
    flush,
    [Symbol.asyncDispose]: async () => {
      for (const writer of writers.values()) for (const feed of writer.feeds) feed[Symbol.dispose]();
      await flush();
    },
  };
};

const parseLine = (text: string): LogLine | null => {
  try {
    const parsed = logLineSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    // Cut short by a power cut or a full disk; the caller counts it.
    return null;
  }
};
