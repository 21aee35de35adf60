/**
 * Opens a listening Unix socket whose file never has wider permissions than asked for, and takes the place of one
 * that a killed kernel left behind.
 *
 * The socket is bound under a name inside a fresh directory of mode 0700, given its mode and group there, and
 * then renamed to its path. So there is no moment in which the wrong user could connect; a stale file is
 * replaced in one step; and the process-wide umask, which other threads would see, is left alone.
 */
import { randomBytes } from 'node:crypto';
import { chmod, chown, lstat, mkdir, rename, rm } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { KernelError } from '../../Kernel/contract/errors.ts';
import { checkSocketPath } from '../../Kernel/contract/paths.ts';

const PROBE_TIMEOUT_MS = 1_000;

export type UnixListener = {
  /** Removes the socket file, unless another program has put its own in its place. */
  readonly unlink: () => Promise<void>;
};

/** @throws KernelError `SOCKET_PATH_TOO_LONG`, `SOCKET_UNAVAILABLE` */
export const listenOnUnixSocket = async (
  server: Server,
  options: { readonly path: string; readonly mode: number; readonly groupId: number | null },
): Promise<UnixListener> => {
  const path = checkSocketPath(options.path);
  await refuseIfInUse(path);
  const directory = join(dirname(path), `.${randomBytes(3).toString('hex')}`);
  const bound = checkSocketPath(join(directory, 's'));
  try {
    await mkdir(directory, { mode: 0o700 });
    await listen(server, bound);
    if (options.groupId !== null) await chown(bound, -1, options.groupId);
    await chmod(bound, options.mode);
    const { ino } = await lstat(bound);
    await rename(bound, path);
    return { unlink: () => unlinkIfOurs(path, ino) };
  } catch (cause) {
    server.close();
    throw unavailable(path, cause, options.groupId);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};

const listen = (server: Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path, backlog: 511 }, () => {
      server.off('error', reject);
      resolve();
    });
  });

const refuseIfInUse = async (path: string): Promise<void> => {
  const stat = await lstat(path).catch(() => null);
  if (stat === null) return;
  if (!stat.isSocket()) {
    throw new KernelError('SOCKET_UNAVAILABLE', `${path} exists and is not a socket`, {
      context: { path },
      remedy: 'Move it away; the kernel does not remove what it did not make.',
    });
  }
  const refusal = await probe(path);
  if (refusal === 'ECONNREFUSED' || refusal === 'ENOENT') return;
  throw new KernelError('SOCKET_UNAVAILABLE', `another program listens on ${path}`, {
    context: { path, probe: refusal },
    remedy: 'Stop that program, or choose another home with KERNELD_HOME.',
  });
};

/** How a connection attempt ends: `connected`, `timeout`, or the error code. Only ECONNREFUSED proves that nobody listens. */
const probe = (path: string): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect({ path });
    const finish = (outcome: string): void => {
      socket.destroy();
      resolve(outcome);
    };
    socket.setTimeout(PROBE_TIMEOUT_MS, () => finish('timeout'));
    socket.once('connect', () => finish('connected'));
    socket.once('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  });

const unlinkIfOurs = async (path: string, ino: number): Promise<void> => {
  const stat = await lstat(path).catch(() => null);
  if (stat?.ino === ino) await rm(path, { force: true });
};

const unavailable = (path: string, cause: unknown, groupId: number | null): KernelError => {
  if (cause instanceof KernelError) return cause;
  const code = (cause as NodeJS.ErrnoException).code ?? 'error';
  const remedy =
    groupId !== null && code === 'EPERM'
      ? 'Run the kernel as a member of control.group, or change control.group in kernel.yaml.'
      : `Make ${basename(dirname(path))} writable for the user that runs the kernel, or choose another home with KERNELD_HOME.`;
  return new KernelError('SOCKET_UNAVAILABLE', `the socket ${path} cannot be opened (${code})`, {
    cause,
    context: { path, code },
    remedy,
  });
};
