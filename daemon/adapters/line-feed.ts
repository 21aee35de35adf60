import type { LogLine } from '../../Kernel/contract/operations/shapes.ts';

/** Lines on their way to one reader who follows. Bounded: the oldest go first, and the reader is told how many. */
export type LineFeed = Disposable & {
  readonly put: (line: LogLine) => void;
  /** Ends when the signal aborts or the feed is disposed of; what already waits is still given then. */
  readonly lines: () => AsyncGenerator<LogLine>;
};

export const createLineFeed = (
  capacity: number,
  signal: AbortSignal,
  missedLine: (missed: number) => LogLine,
): LineFeed => {
  let queue: LogLine[] = [];
  let missed = 0;
  let closed = signal.aborted;
  let wake: (() => void) | null = null;

  const close = (): void => {
    closed = true;
    signal.removeEventListener('abort', close);
    wake?.();
  };
  signal.addEventListener('abort', close, { once: true });

  return {
    put: (line) => {
      queue.push(line);
      // Cut in halves, so that a reader who lags costs no shift of the whole queue for each line.
      if (queue.length > capacity) {
        const cut = Math.ceil(capacity / 2);
        queue = queue.slice(cut);
        missed += cut;
      }
      wake?.();
    },
    lines: async function* () {
      for (;;) {
        if (missed > 0) {
          const count = missed;
          missed = 0;
          yield missedLine(count);
        }
        const batch = queue;
        queue = [];
        if (batch.length > 0) yield* batch;
        else if (closed) return;
        else {
          await new Promise<void>((resolve) => (wake = resolve));
          wake = null;
        }
      }
    },
    [Symbol.dispose]: close,
  };
};
