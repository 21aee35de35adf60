/**
 * The typed client of the operator socket: JSON-RPC 2.0 over WebSocket over a Unix socket (DESIGN section 6).
 *
 * Every request ends by its reply, its time limit, its signal or the end of the connection. Replies are matched
 * by an id that is never used twice, so a late reply finds nobody and is dropped.
 */
import { connect as connectSocket } from 'node:net';
import { WebSocket } from 'ws';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { OperationInput, OperationResult } from '../../Kernel/contract/operations/index.ts';
import { checkSocketPath } from '../../Kernel/contract/paths.ts';
import {
  CANCEL_METHOD, CREDIT_METHOD, PROGRESS_METHOD, progressParamsSchema,
} from '../../Kernel/contract/wire/jsonrpc.schema.ts';
import { connectError } from './connect-error.ts';
import { createItemQueue, type End } from './item-queue.ts';
import { cancelled, deadlineExceeded, timeoutFor, type CallOptions } from './limits.ts';
import type { StreamName, UnaryName } from './operation-names.ts';
import { watchPeer } from './peer-watch.ts';
import { MAX_REPLY_BYTES, readReply, type Reply } from './reply.ts';

export type { CallOptions } from './limits.ts';

export type KernelClient = AsyncDisposable & {
  /** @throws KernelError what the kernel answered, or `DEADLINE_EXCEEDED`, `CANCELLED`, `UNAVAILABLE` */
  readonly call: <N extends UnaryName>(name: N, params: OperationInput<N>, options?: CallOptions) => Promise<OperationResult<N>>;
  /**
   * Items until the kernel ends the stream. Each iteration is a request of its own; leaving it cancels it. The
   * kernel sends no more than the client has room for, so a slow reader costs nobody memory.
   *
   * @throws while iterating, what `call` throws
   */
  readonly stream: <N extends StreamName>(
    name: N, params: OperationInput<N>, options?: { readonly signal?: AbortSignal },
  ) => AsyncIterable<OperationResult<N>>;
  /** Ends the connection; what is in flight is rejected with `UNAVAILABLE`. */
  readonly close: () => Promise<void>;
};

type Waiter = {
  readonly onReply: (outcome: Reply['outcome']) => void;
  readonly onItem: (seq: number, value: unknown) => void;
  readonly onLost: (error: KernelError) => void;
};

const CONNECT_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 1_000;
const noItems = () => { throw new KernelError('PROTOCOL', 'the kernel sent items for a call'); };

/** @throws KernelError `NO_KERNEL`, `DENIED`, `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `SOCKET_PATH_TOO_LONG` */
export const connect = async (options: { readonly socketPath: string; readonly timeoutMs?: number }): Promise<KernelClient> =>
  attach(await open(options.socketPath, options.timeoutMs ?? CONNECT_TIMEOUT_MS), options.socketPath);

const open = (socketPath: string, timeoutMs: number): Promise<WebSocket> => {
  checkSocketPath(socketPath);
  return new Promise((resolve, reject) => {
    // The same as the form `ws+unix:PATH:/rpc`, but safe for paths that hold a colon, a blank or a percent sign.
    const socket = new WebSocket('ws://localhost/rpc', {
      createConnection: () => connectSocket({ path: socketPath }),
      perMessageDeflate: false, followRedirects: false, maxPayload: MAX_REPLY_BYTES,
    });
    const timer = setTimeout(() => {
      reject(deadlineExceeded('connecting', timeoutMs));
      socket.terminate();
    }, timeoutMs);
    socket.once('open', () => {
      clearTimeout(timer);
      socket.removeAllListeners('error');
      resolve(socket);
    });
    // Stays after the first error: terminating an unfinished handshake emits another one.
    socket.on('error', (error) => {
      clearTimeout(timer);
      reject(connectError(error, socketPath));
    });
  });
};

/** Close codes of RFC 6455 section 7.4.1. */
const closedBy = (code: number, socketPath: string): KernelError => {
  const context = { socket: socketPath, closeCode: code };
  switch (code) {
    case 1001: return new KernelError('STOPPING', 'the kernel is stopping', { context });
    case 1009: return new KernelError('PAYLOAD_TOO_LARGE', 'the request is larger than a frame may be', { context });
    default: return new KernelError('UNAVAILABLE', 'the kernel closed the connection', { context });
  }
};

const attach = (socket: WebSocket, socketPath: string): KernelClient => {
  const waiting = new Map<number, Waiter>();
  let lastId = 0;
  let lost: KernelError | null = null;

  const send = (frame: object) => {
    if (socket.readyState === socket.OPEN) socket.send(JSON.stringify({ jsonrpc: '2.0', ...frame }));
  };
  const lose = (error: KernelError) => {
    lost ??= error;
    for (const waiter of waiting.values()) waiter.onLost(lost);
    waiting.clear();
    stopWatching();
  };
  /** Sends a request; the returned function forgets it, and tells the kernel to stop if it was still waited for. */
  const begin = (method: string, params: unknown, waiter: Waiter): { id: number; drop: () => void } => {
    if (lost !== null) throw lost;
    const id = (lastId += 1);
    waiting.set(id, waiter);
    send({ id, method, params });
    return { id, drop: () => { if (waiting.delete(id)) send({ method: CANCEL_METHOD, params: { id } }); } };
  };

  const receive = (text: string) => {
    const frame: unknown = JSON.parse(text);
    const reply = readReply(frame);
    if (reply !== null) {
      // A refusal that names no request: the kernel could not read a frame of ours.
      if (reply.id === null && !reply.outcome.ok) throw reply.outcome.error;
      const waiter = typeof reply.id === 'number' ? waiting.get(reply.id) : undefined;
      if (waiter === undefined) return; // withdrawn, or past its time limit
      waiting.delete(reply.id as number);
      waiter.onReply(reply.outcome);
      return;
    }
    const { method, params } = frame as { readonly method?: unknown; readonly params?: unknown };
    if (typeof method !== 'string') throw new KernelError('PROTOCOL', 'the kernel sent a frame that is not JSON-RPC');
    if (method !== PROGRESS_METHOD) return; // a notification that a newer kernel may have
    const progress = progressParamsSchema.parse(params);
    if (typeof progress.id === 'number') waiting.get(progress.id)?.onItem(progress.seq, progress.value);
  };

  const stopWatching = watchPeer(socket, () => {
    lose(new KernelError('UNAVAILABLE', 'the kernel stopped answering', { context: { socket: socketPath } }));
    socket.terminate();
  });
  socket.on('message', (data, isBinary) => {
    try {
      if (isBinary) throw new KernelError('PROTOCOL', 'the kernel sent a binary frame');
      receive(String(data));
    } catch (error) {
      lose(error instanceof KernelError ? error
        : new KernelError('PROTOCOL', 'the kernel sent a frame that is not JSON-RPC', { cause: error }));
      socket.terminate();
    }
  });
  socket.on('error', (error) => lose(connectError(error, socketPath)));
  socket.on('close', (code) => lose(closedBy(code, socketPath)));

  const call = (method: string, params: unknown, options: CallOptions = {}): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (options.signal?.aborted === true) throw cancelled(method);
      const timeoutMs = timeoutFor(method, params, options);
      const settle = (finish: () => void) => {
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', onAbort);
        finish();
      };
      const request = begin(method, params, {
        onReply: (outcome) => settle(() => (outcome.ok ? resolve(outcome.result) : reject(outcome.error))),
        onItem: noItems,
        onLost: (error) => settle(() => reject(error)),
      });
      const withdraw = (error: KernelError) => settle(() => { request.drop(); reject(error); });
      const onAbort = () => withdraw(cancelled(method));
      const timer = setTimeout(() => withdraw(deadlineExceeded(method, timeoutMs)), timeoutMs);
      options.signal?.addEventListener('abort', onAbort, { once: true });
    });

  const stream = (method: string, params: unknown, signal?: AbortSignal): AsyncIterable<unknown> => ({
    async *[Symbol.asyncIterator]() {
      if (signal?.aborted === true) throw cancelled(method);
      const queue = createItemQueue((items) => send({ method: CREDIT_METHOD, params: { id: request.id, items } }));
      const finish = (end: End) => queue.end(end);
      const request = begin(method, params, {
        onReply: (outcome) => finish({ error: outcome.ok ? null : outcome.error }),
        onItem: queue.push,
        onLost: (error) => finish({ error }),
      });
      const onAbort = () => { request.drop(); finish({ error: cancelled(method) }); };
      signal?.addEventListener('abort', onAbort, { once: true });
      try {
        for (let next = await queue.take(); next !== null; next = await queue.take()) yield next.item;
      } finally {
        signal?.removeEventListener('abort', onAbort);
        request.drop();
      }
    },
  });

  const close = (): Promise<void> => {
    if (socket.readyState === socket.CLOSED) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS);
      socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      socket.close(1000);
    });
  };

  return {
    call: call as KernelClient['call'],
    stream: ((name, params, options) => stream(name, params, options?.signal)) as KernelClient['stream'],
    close,
    [Symbol.asyncDispose]: close,
  };
};
