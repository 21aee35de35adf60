/**
 * What waits to be read by the peer, bounded. A peer that never reads must cost the kernel a fixed amount
 * of memory and no caller more than a refusal.
 */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { Timers } from './timers.ts';

/** Above this nothing more is accepted; one frame of the largest size may lie on top. */
export const OUTBOX_BYTES = 4 * 1024 * 1024;
/** A peer that stays above for this many checks in a row does not read. */
const STUCK_CHECKS = 5;
const STUCK_CHECK_MS = 1000;

export type Outbox = {
  readonly writable: () => boolean;
  /** @throws KernelError `LIMIT_EXCEEDED` (the peer does not read) */
  readonly assertWritable: () => void;
  /** Call after `assertWritable`, in the same turn. @throws KernelError `PAYLOAD_TOO_LARGE` */
  readonly send: (text: string) => void;
  /** Sends, or drops and says so. */
  readonly trySend: (text: string) => boolean;
  /** Hands over now what this tick sent: the connection is about to be broken off. */
  readonly flush: () => void;
};

const SEND_OPTIONS = { binary: false, compress: false } as const;

export const createOutbox = (options: {
  readonly ws: WebSocket;
  readonly socket: Socket;
  readonly timers: Timers;
  readonly maxFrameBytes: number;
  readonly onStuck: () => void;
}): Outbox => {
  const { ws, socket, timers } = options;
  let corked = false;
  let watching = false;

  const watch = (checksLeft: number): void => {
    watching = true;
    timers.after(STUCK_CHECK_MS, () => {
      watching = false;
      if (ws.bufferedAmount <= OUTBOX_BYTES) return;
      if (checksLeft <= 1) options.onStuck();
      else watch(checksLeft - 1);
    });
  };
  const writable = (): boolean => {
    if (ws.bufferedAmount <= OUTBOX_BYTES) return true;
    if (!watching) watch(STUCK_CHECKS);
    return false;
  };
  const flush = (): void => {
    if (!corked) return;
    corked = false;
    socket.uncork();
  };
  const write = (text: string): void => {
    // All that one tick sends goes out in one system call: it is what makes pipelined calls cheap.
    if (!corked) {
      corked = true;
      socket.cork();
      process.nextTick(flush);
    }
    ws.send(text, SEND_OPTIONS);
  };

  return {
    writable,
    assertWritable: () => {
      if (writable()) return;
      throw new KernelError('LIMIT_EXCEEDED', 'the instance does not read fast enough', {
        retryAfterMs: STUCK_CHECK_MS,
      });
    },
    send: (text) => {
      // Characters are at most bytes: exact enough to refuse early, the peer's own limit is above.
      if (text.length > options.maxFrameBytes) {
        throw new KernelError('PAYLOAD_TOO_LARGE', `the message is larger than ${options.maxFrameBytes} bytes`);
      }
      write(text);
    },
    trySend: (text) => {
      if (text.length > options.maxFrameBytes || !writable()) return false;
      write(text);
      return true;
    },
    flush,
  };
};
