/** Function calls in flight: deadlines, cancellation, results. */
import { KernelError } from '../../Kernel/contract/errors.ts';
import { TIMER_MAX_MS } from '../../Kernel/contract/wire/agent.constants.ts';

export type Call = {
  /** The signal of `ctx`; made on first use. */
  readonly signal: () => AbortSignal;
  readonly deadline: number;
  /** False once the caller withdrew: nobody waits for the answer any more. */
  readonly wanted: () => boolean;
};

export type Calls = {
  readonly inFlight: () => number;
  readonly run: (id: string | number, timeoutMs: number, body: (call: Call) => Promise<void>) => Promise<void>;
  readonly cancel: (id: unknown) => void;
  /** The connection is gone: nobody can be answered. */
  readonly cancelAll: (message: string) => void;
};

type Entry = { abort: (error: KernelError) => void };

export const createCalls = (): Calls => {
  const running = new Map<unknown, Entry>();

  return {
    inFlight: () => running.size,
    run: async (id, timeoutMs, body) => {
      let controller: AbortController | undefined;
      let timer: NodeJS.Timeout | undefined;
      let aborted: KernelError | undefined;
      let wanted = true;
      const deadline = Date.now() + timeoutMs;
      const dueMs = performance.now() + timeoutMs;
      const expire = (): void =>
        controller?.abort(new KernelError('DEADLINE_EXCEEDED', 'the deadline of the call has passed'));
      const signal = (): AbortSignal => {
        if (controller !== undefined) return controller.signal;
        controller = new AbortController();
        if (aborted !== undefined) controller.abort(aborted);
        else timer = setTimeout(expire, Math.min(TIMER_MAX_MS, Math.max(0, dueMs - performance.now()))).unref();
        return controller.signal;
      };
      const entry: Entry = {
        abort: (error) => {
          wanted = false;
          aborted = error;
          controller?.abort(error);
        },
      };
      running.set(id, entry);
      try {
        await body({ signal, deadline, wanted: () => wanted });
      } finally {
        clearTimeout(timer);
        if (running.get(id) === entry) running.delete(id);
      }
    },
    cancel: (id) => {
      running.get(id)?.abort(new KernelError('CANCELLED', 'the caller withdrew the call'));
    },
    cancelAll: (message) => {
      for (const entry of [...running.values()]) entry.abort(new KernelError('CANCELLED', message));
      // A new connection counts its ids anew; what still runs is nobody's call any more.
      running.clear();
    },
  };
};
