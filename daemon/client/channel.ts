/**
 * One WebSocket to a kernel: requests out, replies and items back to whoever waits for them. It knows no operation.
 *
 * INVARIANTS
 * - A waiter hears exactly one of: its reply, the loss of the connection; or nothing, once it was dropped.
 * - Ids are never used twice, so a late reply finds nobody.
 * - After the loss every further request fails with the same error.
 */
import { connect as connectSocket } from 'node:net';
import { WebSocket } from 'ws';
import { KernelError } from '../../Kernel/contract/errors.ts';
import { checkSocketPath } from '../../Kernel/contract/paths.ts';
import { CANCEL_METHOD, PROGRESS_METHOD, progressParamsSchema } from '../../Kernel/contract/wire/jsonrpc.schema.ts';
import { connectError } from './connect-error.ts';
import { deadlineExceeded } from './limits.ts';
import { watchPeer } from './peer-watch.ts';
import { MAX_REPLY_BYTES, readReply, type Reply } from './reply.ts';

/** Who waits for a request. */
export type Waiter = {
  readonly onReply: (outcome: Reply['outcome']) => void;
  readonly onItem: (seq: number, value: unknown) => void;
  readonly onLost: (error: KernelError) => void;
};

export type Channel = {
  /** Sends a request. `drop` forgets it and, if it was still waited for, tells the kernel to stop. */
  readonly begin: (
    method: string,
    params: unknown,
    waiter: Waiter,
  ) => { readonly id: number; readonly drop: () => void };
  readonly notify: (method: string, params: unknown) => void;
  readonly close: () => Promise<void>;
};

const CLOSE_TIMEOUT_MS = 1_000;

/** @throws KernelError `NO_KERNEL`, `DENIED`, `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `SOCKET_PATH_TOO_LONG` */
export const openChannel = async (socketPath: string, timeoutMs: number): Promise<Channel> =>
  attach(await open(checkSocketPath(socketPath), timeoutMs), socketPath);

const open = (socketPath: string, timeoutMs: number): Promise<WebSocket> =>
  new Promise((resolve, reject) => {
    // The same as the form `ws+unix:PATH:/rpc`, but safe for paths that hold a colon, a blank or a percent sign.
    const socket = new WebSocket('ws://localhost/rpc', {
      createConnection: () => connectSocket({ path: socketPath }),
      perMessageDeflate: false,
      followRedirects: false,
      maxPayload: MAX_REPLY_BYTES,
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

/** Close codes of RFC 6455 section 7.4.1. */
const closedBy = (code: number, socketPath: string): KernelError => {
  const context = { socket: socketPath, closeCode: code };
  switch (code) {
    case 1001:
      return new KernelError('STOPPING', 'the kernel is stopping', { context });
    case 1009:
      return new KernelError('PAYLOAD_TOO_LARGE', 'the request is larger than a frame may be', { context });
    default:
      return new KernelError('UNAVAILABLE', 'the kernel closed the connection', { context });
  }
};

const attach = (socket: WebSocket, socketPath: string): Channel => {
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
  const begin: Channel['begin'] = (method, params, waiter) => {
    if (lost !== null) throw lost;
    const id = (lastId += 1);
    waiting.set(id, waiter);
    send({ id, method, params });
    return {
      id,
      drop: () => {
        if (waiting.delete(id)) send({ method: CANCEL_METHOD, params: { id } });
      },
    };
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
      // ws gives one Buffer for each message unless told otherwise.
      receive((data as Buffer).toString('utf8'));
    } catch (error) {
      lose(
        error instanceof KernelError
          ? error
          : new KernelError('PROTOCOL', 'the kernel sent a frame that is not JSON-RPC', { cause: error }),
      );
      socket.terminate();
    }
  });
  socket.on('error', (error) => lose(connectError(error, socketPath)));
  socket.on('close', (code) => lose(closedBy(code, socketPath)));

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

  return { begin, notify: (method, params) => send({ method, params }), close };
};
