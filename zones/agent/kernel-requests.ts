/** What the agent asks the kernel: hello and the user bus. */
import { fromErrorBody, KernelError } from '../../Kernel/contract/errors.ts';
import { REQUEST_FRAMES } from '../../Kernel/contract/wire/agent.constants.ts';
import { encodeValue, type WireLimits } from './encode-value.ts';

export type KernelRequests = {
  /** @throws KernelError what the kernel answered, `UNAVAILABLE` (no kernel), `LIMIT_EXCEEDED`, `DEADLINE_EXCEEDED` */
  readonly ask: (method: string, params: unknown) => Promise<unknown>;
  readonly settle: (id: unknown, outcome: { readonly result: unknown } | { readonly error: unknown }) => void;
  readonly rejectAll: () => void;
};

const IN_FLIGHT_MAX = 128;
const TIMEOUT_MS = 10_000;
const WINDOW_MS = 1000;

type WireError = {
  readonly message: string;
  readonly data?: { readonly code: string; readonly retryAfterMs?: number; readonly details?: Record<string, unknown> };
};
type Waiting = {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: KernelError) => void;
  readonly timer: NodeJS.Timeout;
};

const unavailable = (): KernelError => new KernelError('UNAVAILABLE', 'the kernel is away');

export const createKernelRequests = (options: {
  readonly connected: () => boolean;
  readonly limits: () => WireLimits;
  readonly send: (text: string) => void;
}): KernelRequests => {
  const waiting = new Map<unknown, Waiting>();
  let count = 0;
  let windowStartMs = 0;
  let frames = 0;
  let bytes = 0;

  /**
   * Half the budget a second: however the kernel's windows lie over these, a module that publishes in a
   * loop is refused here, and never ended there.
   */
  const spend = (frameBytes: number): void => {
    const { framesPerSecond, bytesPerSecond } = options.limits();
    const nowMs = performance.now();
    if (nowMs - windowStartMs >= WINDOW_MS) {
      windowStartMs = nowMs;
      frames = 0;
      bytes = 0;
    }
    if (frames + REQUEST_FRAMES > framesPerSecond / 2 || bytes + frameBytes > bytesPerSecond / 2) {
      throw new KernelError('LIMIT_EXCEEDED', 'too many messages a second', {
        retryAfterMs: Math.ceil(windowStartMs + WINDOW_MS - nowMs),
      });
    }
    frames += REQUEST_FRAMES;
    bytes += frameBytes;
  };

  return {
    ask: async (method, params) => {
      if (!options.connected()) throw unavailable();
      if (waiting.size >= IN_FLIGHT_MAX)
        throw new KernelError('LIMIT_EXCEEDED', `${IN_FLIGHT_MAX} requests are in flight`);
      const body = encodeValue(params, options.limits(), 'the message', 'INVALID_PARAMS');
      // Its hello is what an agent may always say: without it there is no connection to have limits.
      if (method !== 'hello') spend(Buffer.byteLength(body));
      const id = (count += 1);
      const { promise, resolve, reject } = Promise.withResolvers<unknown>();
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(new KernelError('DEADLINE_EXCEEDED', `the kernel did not answer ${method}`));
      }, TIMEOUT_MS).unref();
      waiting.set(id, { resolve, reject, timer });
      options.send(`{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${body}}`);
      return await promise;
    },
    settle: (id, outcome) => {
      const entry = waiting.get(id);
      if (entry === undefined) return;
      waiting.delete(id);
      clearTimeout(entry.timer);
      if ('result' in outcome) return entry.resolve(outcome.result);
      const { message, data } = outcome.error as WireError;
      entry.reject(
        fromErrorBody({
          code: data?.code ?? 'INTERNAL',
          message,
          retryAfterMs: data?.retryAfterMs,
          details: data?.details,
        }),
      );
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
