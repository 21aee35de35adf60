/**
 * Asks a module at intervals whether it is able to serve, by the function that its manifest names. It fails when it
 * throws or is late; so many failures in a row count as unhealthy, and the instance is replaced.
 */
import { toKernelError } from '../../Kernel/contract/errors.ts';
import type { Clock } from '../../Kernel/contract/ports.ts';

export type HealthCheck = {
  readonly function: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Failures in a row that count. */
  readonly failures: number;
};

/** Asks until disposed; `onUnhealthy` is called at most once. */
export const startHealthCheck = (options: {
  readonly check: HealthCheck;
  readonly clock: Clock;
  readonly call: (
    name: string,
    limits: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ) => Promise<unknown>;
  readonly onUnhealthy: (detail: string) => void;
}): Disposable => {
  const { check, clock } = options;
  const ended = new AbortController();
  let failedInRow = 0;
  let cancelTimer = (): void => undefined;

  const ask = async (): Promise<void> => {
    try {
      await options.call(check.function, { timeoutMs: check.timeoutMs, signal: ended.signal });
      failedInRow = 0;
    } catch (thrown) {
      if (ended.signal.aborted) return;
      const { code, message } = toKernelError(thrown);
      // A full queue is the callers' doing and says nothing about the module.
      if (code !== 'LIMIT_EXCEEDED') failedInRow += 1;
      if (failedInRow >= check.failures) {
        options.onUnhealthy(`${check.function} failed ${failedInRow} times in a row, last with ${code}: ${message}`);
        return;
      }
    }
    schedule();
  };
  const schedule = (): void => {
    if (!ended.signal.aborted) cancelTimer = clock.after(check.intervalMs, () => void ask());
  };
  schedule();

  return {
    [Symbol.dispose]: () => {
      ended.abort();
      cancelTimer();
    },
  };
};
