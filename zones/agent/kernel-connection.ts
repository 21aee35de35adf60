/**
 * The connection to the kernel: made, kept, and made again when the kernel returns. Knows frames, not what
 * they mean.
 */
import { connect, type Socket } from 'node:net';
import { WebSocket } from 'ws';

export type KernelConnection = {
  /** Sends a text frame; dropped when there is no connection. */
  readonly send: (text: string) => void;
  readonly bufferedBytes: () => number;
  /** Hands what was sent in this tick to the socket now: the process may not see another tick. */
  readonly flush: () => void;
  /** Drops the present connection; a new one is tried. */
  readonly drop: () => void;
  /** Ends for good. */
  readonly close: () => void;
};

const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 500;
const HANDSHAKE_TIMEOUT_MS = 5000;
/** The kernel is trusted; this only keeps a fault from filling the memory of the instance. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024;

const noMask = (mask: Buffer): void => {
  mask.fill(0);
};

export const connectKernel = (options: {
  readonly socketPath: string;
  readonly onOpen: () => void;
  readonly onMessage: (text: string) => void;
  /** A connection or an attempt at one ended. */
  readonly onClosed: (reason: string) => void;
}): KernelConnection => {
  let ws: WebSocket | undefined;
  let socket: Socket | undefined;
  let retry: NodeJS.Timeout | undefined;
  let delayMs = BACKOFF_FIRST_MS;
  let corked: Socket | undefined;
  let closed = false;

  const flush = (): void => {
    const held = corked;
    corked = undefined;
    held?.uncork();
  };

  const attempt = (): void => {
    let reason = 'the connection was closed';
    let ownSocket: Socket | undefined;
    const own = new WebSocket('ws://kernel/', {
      perMessageDeflate: false,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxPayload: MAX_FRAME_BYTES,
      // Masks protect proxies (RFC 6455 clause 10.3); on a Unix socket there are none.
      generateMask: noMask,
      createConnection: () => (ownSocket = connect(options.socketPath)),
    });
    ws = own;
    own.on('open', () => {
      delayMs = BACKOFF_FIRST_MS;
      socket = ownSocket;
      options.onOpen();
    });
    // Without `binaryType` set, ws gives every message as one Buffer.
    own.on('message', (data) => options.onMessage((data as Buffer).toString()));
    own.on('error', (error) => {
      reason = error.message;
    });
    own.on('close', () => {
      if (ws === own) {
        ws = undefined;
        socket = undefined;
      }
      if (closed) return;
      options.onClosed(reason);
      retry = setTimeout(attempt, delayMs);
      delayMs = Math.min(BACKOFF_MAX_MS, delayMs * 2);
    });
  };
  attempt();

  return {
    send: (text) => {
      if (ws?.readyState !== WebSocket.OPEN) return;
      const current = socket;
      // All that one tick sends goes out in one system call.
      if (corked === undefined && current !== undefined) {
        corked = current;
        current.cork();
        process.nextTick(flush);
      }
      ws.send(text);
    },
    flush,
    bufferedBytes: () => ws?.bufferedAmount ?? 0,
    drop: () => ws?.terminate(),
    close: () => {
      closed = true;
      clearTimeout(retry);
      ws?.terminate();
    },
  };
};
