/**
 * The kernel's home: its directories with their modes, its id, and the lock that keeps a second kernel out.
 *
 * ```
 * state       0700   modules, store, records, logs: nobody's business but the kernel's
 * run         0755   sockets protect themselves by their own modes
 * instances   0700   parent; each instances/<id> inside is made by who makes instances
 * ```
 * What is bound into a container is bound by the engine as root, so 0700 above it is no hindrance.
 */
import { chmod, lstat, mkdir, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KernelError } from '../../Kernel/contract/errors.ts';
import { parseHomeId, parseInstanceId, type HomeId } from '../../Kernel/contract/ids.ts';
import { checkSocketPath, instancePaths, type HomePaths } from '../../Kernel/contract/paths.ts';
import type { Random } from '../../Kernel/contract/ports.ts';
import { createFileOnce, syncDirectory } from './durable-file.ts';
import { lockHome } from './lock.ts';

export type Home = Disposable & {
  readonly id: HomeId;
  readonly paths: HomePaths;
  /** False when the lock was lost; then another kernel could start. */
  readonly lockHeld: () => boolean;
};

const ID_BYTES = 6;
/** All instance ids have the same length. */
const LONGEST_INSTANCE_ID = parseInstanceId('i-000000000000');

/**
 * Makes what is missing and takes the lock, which is held until the value is disposed of or the process ends.
 *
 * @throws KernelError `HOME_LOCKED`, `STATE_UNUSABLE`, `STATE_CORRUPT` (the home's id), `SOCKET_PATH_TOO_LONG`
 */
export const openHome = async (options: { readonly paths: HomePaths; readonly random: Random }): Promise<Home> => {
  const { paths, random } = options;
  checkSocketPath(paths.operatorSocket);
  checkSocketPath(paths.federationSocket);
  // The longest of all: found out now, and not when the first instance fails to start.
  checkSocketPath(instancePaths(paths, LONGEST_INSTANCE_ID).agentSocket);
  await makeDirectory(paths.state, 0o700);
  // Before anything else is made or read: a second kernel must not touch the first one's files.
  const lock = lockHome(paths.lockFile);
  try {
    await makeDirectory(paths.run, 0o755);
    for (const directory of [paths.instancesDir, paths.recordsDir, paths.modulesDir, paths.storeDir, paths.logsDir]) {
      await makeDirectory(directory, 0o700);
    }
    await usable(paths.state, () => syncDirectory(paths.state));
    const id = await homeId(paths.homeIdFile, random);
    return { id, paths, lockHeld: lock.held, [Symbol.dispose]: () => lock[Symbol.dispose]() };
  } catch (thrown) {
    lock[Symbol.dispose]();
    throw thrown;
  }
};

/** Makes a directory, or corrects the mode of one that is there: it may have been made by hand, or by an umask. */
const makeDirectory = (path: string, mode: number): Promise<void> =>
  usable(path, async () => {
    await mkdirWithParents(path);
    const found = await stat(path);
    if (!found.isDirectory())
      throw new KernelError('STATE_UNUSABLE', `${path} is not a directory`, { context: { path } });
    if ((found.mode & 0o7777) !== mode) await chmod(path, mode);
  });

/** Not `recursive: true`: where a file system answers ENOENT to mkdir, as /proc does, Node tries for ever. */
const mkdirWithParents = async (path: string): Promise<void> => {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    await mkdirWithParents(dirname(path));
    await mkdir(path).catch((again: unknown) => {
      // Another kernel that starts at the same time made it first; the lock will decide between the two.
      if ((again as NodeJS.ErrnoException).code !== 'EEXIST') throw again;
    });
  }
};

const homeId = async (file: string, random: Random): Promise<HomeId> => {
  await usable(file, () => createFileOnce(file, `${random.hex(ID_BYTES)}\n`, 0o600, random.hex(4)));
  const text = await usable(file, async () => {
    if (!(await lstat(file)).isFile())
      throw new KernelError('STATE_CORRUPT', `${file} is not a regular file`, { context: { file } });
    return readFile(file, 'utf8');
  });
  try {
    return parseHomeId(text.trim());
  } catch (cause) {
    throw new KernelError('STATE_CORRUPT', `${file} does not hold a home id (12 hex digits)`, {
      cause,
      context: { file },
      remedy: `Put back the id from a backup, or from the label kerneld.home of this home's containers; or remove the file to begin anew, which leaves those containers to nobody.`,
    });
  }
};

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'Free space on that file system.',
  EDQUOT: 'Raise the disk quota of the user that runs the kernel.',
  EROFS: 'The file system is mounted read-only: mount it writable, or choose another home with KERNELD_HOME.',
  EACCES: 'Give the user that runs the kernel the right to write there, or choose another home with KERNELD_HOME.',
  EPERM: 'Give that path to the user that runs the kernel, or choose another home with KERNELD_HOME.',
  ENOTDIR: 'A part of that path is a file: move it away, or choose another home with KERNELD_HOME.',
  EEXIST: 'A file is in the way: move it, or choose another home with KERNELD_HOME.',
};

const usable = async <T>(path: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof KernelError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? 'error';
    throw new KernelError('STATE_UNUSABLE', `${path} cannot be used (${code})`, {
      cause,
      context: { path, code },
      remedy: REMEDIES[code] ?? 'Choose another home with KERNELD_HOME.',
    });
  }
};
