/** Timers that end with their owner: a connection that is gone must leave none behind. */
import type { Clock } from '../../Kernel/contract/ports.ts';

export type Timers = Disposable & {
  /** Runs `fn` once; the returned function cancels it. */
  readonly after: (delayMs: number, fn: () => void) => () => void;
  readonly dispose: () => void;
};

export const createTimers = (clock: Clock): Timers => {
  const running = new Set<() => void>();
  let disposed = false;
  const dispose = (): void => {
    disposed = true;
    for (const cancel of running) cancel();
    running.clear();
  };
  return {
    after: (delayMs, fn) => {
      if (disposed) return () => {};
      const stop = clock.after(delayMs, () => {
        running.delete(cancel);
        fn();
      });
      const cancel = (): void => {
        running.delete(cancel);
        stop();
      };
      running.add(cancel);
      return cancel;
    },
    dispose,
    [Symbol.dispose]: dispose,
  };
};
