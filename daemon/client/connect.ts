/**
 * The typed client of the operator socket: JSON-RPC 2.0 over WebSocket over a Unix socket (DESIGN section 6).
 *
 * Every request ends by its reply, its time limit, its signal or the end of the connection.
 */
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { OperationInput, OperationResult } from '../../Kernel/contract/operations/index.ts';
import { CREDIT_METHOD } from '../../Kernel/contract/wire/jsonrpc.schema.ts';
import { openChannel, type Channel } from './channel.ts';
import { createItemQueue, type End } from './item-queue.ts';
import { cancelled, deadlineExceeded, timeoutFor, type CallOptions } from './limits.ts';
import type { StreamName, UnaryName } from './operation-names.ts';

export type { CallOptions } from './limits.ts';

export type KernelClient = AsyncDisposable & {
  /** @throws KernelError what the kernel answered, or `DEADLINE_EXCEEDED`, `CANCELLED`, `UNAVAILABLE` */
  readonly call: <N extends UnaryName>(
    name: N,
    params: OperationInput<N>,
    options?: CallOptions,
  ) => Promise<OperationResult<N>>;
  /**
   * Items until the kernel ends the stream. Each iteration is a request of its own; leaving it cancels it. The
   * kernel sends no more than the client has room for, so a slow reader costs nobody memory.
   *
   * @throws while iterating, what `call` throws
   */
  readonly stream: <N extends StreamName>(
    name: N,
    params: OperationInput<N>,
    options?: { readonly signal?: AbortSignal },
  ) => AsyncIterable<OperationResult<N>>;
  /** Ends the connection; what is in flight is rejected with `UNAVAILABLE`. */
  readonly close: () => Promise<void>;
};

const CONNECT_TIMEOUT_MS = 5_000;
const noItems = () => {
  throw new KernelError('PROTOCOL', 'the kernel sent items for a call');
};

/** @throws KernelError `NO_KERNEL`, `DENIED`, `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `SOCKET_PATH_TOO_LONG` */
export const connect = async (options: {
  readonly socketPath: string;
  readonly timeoutMs?: number;
}): Promise<KernelClient> => {
  const channel = await openChannel(options.socketPath, options.timeoutMs ?? CONNECT_TIMEOUT_MS);
  return {
    call: ((name, params, limits) => call(channel, name, params, limits)) as KernelClient['call'],
    stream: ((name, params, limits) => stream(channel, name, params, limits?.signal)) as KernelClient['stream'],
    close: channel.close,
    [Symbol.asyncDispose]: channel.close,
  };
};

const call = (channel: Channel, method: string, params: unknown, options: CallOptions = {}): Promise<unknown> =>
  new Promise((resolve, reject) => {
    if (options.signal?.aborted === true) throw cancelled(method);
    const timeoutMs = timeoutFor(method, params, options);
    const settle = (finish: () => void) => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
      finish();
    };
    const request = channel.begin(method, params, {
      onReply: (outcome) => settle(() => (outcome.ok ? resolve(outcome.result) : reject(outcome.error))),
      onItem: noItems,
      onLost: (error) => settle(() => reject(error)),
    });
    const withdraw = (error: KernelError) =>
      settle(() => {
        request.drop();
        reject(error);
      });
    const onAbort = () => withdraw(cancelled(method));
    const timer = setTimeout(() => withdraw(deadlineExceeded(method, timeoutMs)), timeoutMs);
    options.signal?.addEventListener('abort', onAbort, { once: true });
  });

const stream = (channel: Channel, method: string, params: unknown, signal?: AbortSignal): AsyncIterable<unknown> => ({
  async *[Symbol.asyncIterator]() {
    if (signal?.aborted === true) throw cancelled(method);
    const queue = createItemQueue((items) => channel.notify(CREDIT_METHOD, { id: request.id, items }));
    const finish = (end: End) => queue.end(end);
    const request = channel.begin(method, params, {
      onReply: (outcome) => finish({ error: outcome.ok ? null : outcome.error }),
      onItem: queue.push,
      onLost: (error) => finish({ error }),
    });
    const onAbort = () => {
      request.drop();
      finish({ error: cancelled(method) });
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      for (let next = await queue.take(); next !== null; next = await queue.take()) yield next.item;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      request.drop();
    }
  },
});
