/**
 * One kernel a home. The lock is a POSIX record lock, which the system releases when its process ends in any
 * way, so it never goes stale; and it holds across network namespaces and containers that share the file system,
 * as an abstract socket would not. Node offers no flock, but its SQLite takes just such a lock when a write
 * transaction begins, so an empty database is the lock file. Nothing is ever written into it.
 *
 * RULE: nothing else in this process may open the lock file. POSIX drops a process's locks on a file when *any*
 * of its descriptors for that file is closed (fcntl(2)). For that reason the holder's pid stands in `/proc/locks`
 * and not in the file.
 */
import { accessSync, closeSync, constants, openSync, readFileSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { KernelError } from '../../Kernel/contract/errors.ts';

/** SQLite's code for "another connection holds the lock" (https://www.sqlite.org/rescode.html#busy). */
const SQLITE_BUSY = 5;

export type HomeLock = Disposable & {
  /** Reads `/proc/locks`: false when the lock was lost, as by a closed descriptor, or when its file was removed. */
  readonly held: () => boolean;
};

/**
 * @throws KernelError `HOME_LOCKED` naming the holder's pid, `STATE_UNUSABLE` when the file cannot be used
 */
export const lockHome = (lockFile: string): HomeLock => {
  let database: DatabaseSync | null = null;
  try {
    makeFile(lockFile);
    database = new DatabaseSync(lockFile, { timeout: 0 });
    // No journal file beside it. IMMEDIATE takes the write lock at once, and one process only can have it.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN IMMEDIATE');
    const locked = database;
    return {
      held: () => locked.isOpen && lockHolder(lockFile) === process.pid,
      [Symbol.dispose]: () => {
        if (locked.isOpen) locked.close();
      },
    };
  } catch (cause) {
    database?.close();
    throw refusal(lockFile, cause);
  }
};

/** Makes it with mode 0600: who can open the file could lock the kernel out. Only when it is missing, see RULE. */
const makeFile = (lockFile: string): void => {
  try {
    closeSync(openSync(lockFile, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // SQLite opens a file that it may not write for reading, and its BEGIN IMMEDIATE then takes no lock at all.
    accessSync(lockFile, constants.W_OK);
  }
};

const refusal = (lockFile: string, cause: unknown): KernelError => {
  if ((cause as { errcode?: number }).errcode === SQLITE_BUSY) {
    const pid = lockHolder(lockFile);
    return new KernelError('HOME_LOCKED', `another kernel${pid === null ? '' : `, pid ${pid},`} uses this home`, {
      context: { lockFile, pid },
      remedy: 'Stop that kernel, or choose another home with KERNELD_HOME.',
    });
  }
  return new KernelError('STATE_UNUSABLE', `the lock file ${lockFile} cannot be used: ${(cause as Error).message}`, {
    cause,
    context: { lockFile },
    remedy: 'Make its directory writable for the user that runs the kernel.',
  });
};

/** The pid that holds a write lock on the file, or null: not locked, or by a process outside this pid namespace. */
export const lockHolder = (lockFile: string): number | null => {
  try {
    const inode = String(statSync(lockFile).ino);
    // `1: POSIX  ADVISORY  WRITE 9306 fe:00:2146319 1073741825 1073741825`, see proc_locks(5).
    for (const line of readFileSync('/proc/locks', 'utf8').split('\n')) {
      const match = /POSIX\s+ADVISORY\s+WRITE\s+(\d+)\s+[0-9a-f]+:[0-9a-f]+:(\d+)\s/.exec(line);
      if (match?.[2] === inode && Number(match[1]) > 0) return Number(match[1]);
    }
    return null;
  } catch {
    // The pid is a courtesy to the reader of the message; the verdict does not depend on it.
    return null;
  }
};
