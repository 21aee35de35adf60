/** What the agent asks the kernel: hello and the user bus. */
import { fromErrorBody, KernelError } from '../../Kernel/contract/errors.ts';

export type KernelRequests = {
  /** @throws KernelError what the kernel answered, `UNAVAILABLE` (no kernel), `LIMIT_EXCEEDED`, `DEADLINE_EXCEEDED` */
  readonly ask: (method: string, params: unknown) => Promise<unknown>;
  readonly settle: (id: unknown, outcome: { readonly result: unknown } | { readonly error: unknown }) => void;
  readonly rejectAll: () => void;
};

const IN_FLIGHT_MAX = 128;
const TIMEOUT_MS = 10_000;

type WireError = { readonly message: string; readonly data?: { readonly code: string; readonly retryAfterMs?: number; readonly details?: Record<string, unknown> } };
type Waiting = {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: KernelError) => void;
  readonly timer: NodeJS.Timeout;
};

const unavailable = (): KernelError => new KernelError('UNAVAILABLE', 'the kernel is away');

export const createKernelRequests = (options: {
  readonly connected: () => boolean;
  readonly send: (text: string) => void;
}): KernelRequests => {
  const waiting = new Map<unknown, Waiting>();
  let count = 0;
  return {
    ask: async (method, params) => {
      if (!options.connected()) throw unavailable();
      if (waiting.size >= IN_FLIGHT_MAX) throw new KernelError('LIMIT_EXCEEDED', `${IN_FLIGHT_MAX} requests are in flight`);
      const id = (count += 1);
      let text: string;
      try {
        text = JSON.stringify({ jsonrpc: '2.0', id, method, params });
      } catch (cause) {
        throw new KernelError('INVALID_PARAMS', 'the value is not JSON', { cause });
      }
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(new KernelError('DEADLINE_EXCEEDED', `the kernel did not answer ${method}`));
      }, TIMEOUT_MS).unref();
      waiting.set(id, { resolve, reject, timer });
      options.send(text);
      return await promise;
    },
    settle: (id, outcome) => {
      const entry = waiting.get(id);
      if (entry === undefined) return;
      waiting.delete(id);
      clearTimeout(entry.timer);
      if ('result' in outcome) return entry.resolve(outcome.result);
      const { message, data } = outcome.error as WireError;
      entry.reject(fromErrorBody({ code: data?.code ?? 'INTERNAL', message, retryAfterMs: data?.retryAfterMs, details: data?.details }));
    },
    rejectAll: () => {
      for (const entry of waiting.values()) {
        clearTimeout(entry.timer);
        entry.reject(unavailable());
      }
      waiting.clear();
    },
  };
};
