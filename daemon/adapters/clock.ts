import { performance } from 'node:perf_hooks';
import type { Clock } from '../../Kernel/contract/ports.ts';

/** Longest delay that a timer of Node takes; a longer one would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** The system's clocks. Timers do not keep the process alive. */
export const createClock = (): Clock => ({
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (delayMs, fn) => {
    const timer = setTimeout(fn, Math.min(Math.max(0, delayMs), MAX_DELAY_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
});
