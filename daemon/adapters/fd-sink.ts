import { write } from 'node:fs';

/**
 * Writes to a descriptor without ever blocking the caller. A terminal stopped with Ctrl-S or a pipe that nobody
 * reads would stop the kernel if it wrote synchronously; here lines wait, up to a bound, and are then dropped.
 */
export type FdSink = {
  readonly write: (text: string) => void;
  /** Texts not taken because too much was waiting. */
  readonly dropped: () => number;
  /** Nobody will ever read again: the texts from here on are nobody's loss, and not counted. */
  readonly gone: () => boolean;
  /** Resolves when everything was written, or after the time given. */
  readonly flush: (timeoutMs: number) => Promise<void>;
};

const MAX_WAITING_BYTES = 1024 * 1024;

export const createFdSink = (fd: number): FdSink => {
  let waiting: string[] = [];
  let waitingLength = 0;
  let writing = false;
  let broken = false;
  let dropped = 0;
  let idle: (() => void)[] = [];

  const settle = (): void => {
    for (const resolve of idle) resolve();
    idle = [];
  };

  const pump = (): void => {
    if (writing) return;
    if (waiting.length === 0 || broken) return settle();
    writing = true;
    const text = waiting.join('');
    waiting = [];
    waitingLength = 0;
    writeAll(Buffer.from(text), 0);
  };

  const writeAll = (data: Buffer, offset: number): void => {
    write(fd, data, offset, data.byteLength - offset, null, (error, written) => {
      if (error !== null && error.code === 'EAGAIN') {
        // A non-blocking pipe that is full just now.
        setTimeout(() => writeAll(data, offset), 20).unref();
        return;
      }
      // EPIPE, EIO, ENOSPC: who reads is gone or the disk is full. The kernel goes on; its own file has the line.
      if (error !== null) broken = error.code !== 'ENOSPC';
      else if (offset + written < data.byteLength) return writeAll(data, offset + written);
      writing = false;
      pump();
    });
  };

  return {
    write: (text) => {
      if (broken) return;
      if (waitingLength + text.length > MAX_WAITING_BYTES) {
        dropped += 1;
        return;
      }
      waiting.push(text);
      waitingLength += text.length;
      pump();
    },
    dropped: () => dropped,
    gone: () => broken,
    flush: (timeoutMs) =>
      new Promise((resolve) => {
        if (!writing && (waiting.length === 0 || broken)) return resolve();
        const timer = setTimeout(resolve, timeoutMs);
        idle.push(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
  };
};
