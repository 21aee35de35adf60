/**
 * Time limits of many calls under one timer. A timer for each call costs more than the rest of the gate
 * together at 20,000 calls a second, and nearly all of them are cancelled unused.
 *
 * Accuracy: a call ends at most `GRAIN_MS` after its deadline, plus what the event loop is late.
 */
import type { Clock } from '../contract/ports.ts';

/** Deadlines closer together than this are swept at once, so that close deadlines cannot make sweeps quadratic. */
const GRAIN_MS = 5;

export type Limited = { readonly deadlineMs: number; readonly onDeadline: () => void };

export type Deadlines = Disposable & {
  readonly add: (limited: Limited) => void;
  readonly remove: (limited: Limited) => void;
};

export const createDeadlines = (clock: Clock): Deadlines => {
  const waiting = new Set<Limited>();
  let sweepAtMs = Infinity;
  let cancelTimer: (() => void) | null = null;

  const schedule = (atMs: number): void => {
    cancelTimer?.();
    sweepAtMs = atMs;
    cancelTimer = clock.after(Math.max(GRAIN_MS, atMs - clock.monotonicMs()), sweep);
  };

  const sweep = (): void => {
    cancelTimer = null;
    sweepAtMs = Infinity;
    const nowMs = clock.monotonicMs();
    const due: Limited[] = [];
    let nextMs = Infinity;
    for (const limited of waiting) {
      if (limited.deadlineMs <= nowMs) due.push(limited);
      else if (limited.deadlineMs < nextMs) nextMs = limited.deadlineMs;
    }
    if (nextMs < Infinity) schedule(nextMs);
    for (const limited of due) if (waiting.delete(limited)) limited.onDeadline();
  };

  return {
    add: (limited) => {
      if (limited.deadlineMs === Infinity) return;
      waiting.add(limited);
      if (limited.deadlineMs < sweepAtMs) schedule(limited.deadlineMs);
    },
    // The sweep that was set for a removed call still runs, finds nothing due and sets the next one.
    remove: (limited) => {
      waiting.delete(limited);
    },
    [Symbol.dispose]: () => {
      cancelTimer?.();
      waiting.clear();
    },
  };
};
