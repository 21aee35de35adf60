/**
 * The listening end of an instance's socket. It accepts one connection and then stops listening, which also
 * removes the file, until it is told to listen again: a flood of connects meets no listener and costs the
 * kernel nothing (DESIGN section 6).
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { KernelError } from '../../Kernel/contract/errors.ts';

/** `sun_path` holds 108 bytes with the terminating zero (unix(7)). */
export const SOCKET_PATH_BYTES_MAX = 107;
/** Everyone may connect; who can reach the file at all is the directory's affair (DESIGN section 5). */
const SOCKET_MODE = 0o666;
/** Connects that may wait for `accept`: the agent's, and what races with it. */
const BACKLOG = 4;

export type Listener = {
  /** @throws KernelError `SOCKET_UNAVAILABLE`, `SOCKET_PATH_TOO_LONG` */
  readonly open: () => Promise<void>;
  readonly close: () => Promise<void>;
};

const closed = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    // The one error is "not running", which is what is wanted.
    server.close(() => resolve());
  });

export const createListener = (path: string, onSocket: (socket: Socket) => void): Listener => {
  let server: Server | undefined;

  const open = async (): Promise<void> => {
    if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
      throw new KernelError('SOCKET_PATH_TOO_LONG', `${path} is over ${SOCKET_PATH_BYTES_MAX} bytes`, {
        context: { path },
        remedy: 'choose a shorter KERNELD_HOME',
      });
    }
    const next = createServer({ pauseOnConnect: true });
    server = next;
    next.on('connection', (socket) => {
      // Several may have been accepted in one turn of the loop; the first one wins.
      if (server !== next) return void socket.destroy();
      server = undefined;
      next.close();
      onSocket(socket);
    });
    try {
      // A socket file left by a kernel that was killed would make `listen` fail.
      rmSync(path, { force: true });
      await new Promise<void>((resolve, reject) => {
        next.once('error', reject);
        next.listen({ path, backlog: BACKLOG }, () => {
          next.removeListener('error', reject);
          resolve();
        });
        // Pipes bind at once: without a gap between bind and mode, no agent meets EACCES.
        chmodSync(path, SOCKET_MODE);
      });
    } catch (cause) {
      server = undefined;
      next.close();
      throw new KernelError('SOCKET_UNAVAILABLE', `cannot listen on ${path}`, { cause, context: { path } });
    }
    next.on('error', () => {
      // Errors of accept (as EMFILE) are transient: the listener stays, the agent tries again.
    });
  };

  return {
    open,
    close: async () => {
      const open = server;
      server = undefined;
      if (open !== undefined) await closed(open);
      rmSync(path, { force: true });
    },
  };
};
