/**
 * A file of bounded size that keeps a bounded number of older ones: `kernel.log`, `kernel.log.1`, …. Writes are
 * synchronous, so that a line is in the page cache, and survives `kill -9`, when `append` returns. No failure of
 * the disk ever reaches the caller.
 */
import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';

export type RotatingFile = Disposable & {
  /** `sync`: also onto the disk before returning. Gives false when the line was lost. */
  readonly append: (line: string, sync: boolean) => boolean;
  /** Lines lost since the file was opened. */
  readonly lost: () => number;
};

export type RotatingFileOptions = {
  readonly path: string;
  readonly maxFileBytes: number;
  /** Files kept, the one being written included. */
  readonly files: number;
  readonly fileMode?: number;
};

export const openRotatingFile = (options: RotatingFileOptions): RotatingFile => {
  const { path, maxFileBytes, files } = options;
  let fd: number | null = null;
  let bytes = 0;
  let lost = 0;
  /** The last write ended inside a line: the next one must begin with a line end, or two lines become one. */
  let torn = false;

  const open = (): number => {
    if (fd !== null) return fd;
    fd = openSync(path, 'a+', options.fileMode ?? 0o640);
    bytes = fstatSync(fd).size;
    torn = bytes > 0 && lastByte(fd, bytes) !== NEWLINE;
    return fd;
  };

  const close = (): void => {
    if (fd === null) return;
    const closing = fd;
    fd = null;
    closeSync(closing);
  };

  const rotate = (): void => {
    close();
    rmSync(`${path}.${files - 1}`, { force: true });
    for (let i = files - 2; i >= 1; i -= 1) renameIfThere(`${path}.${i}`, `${path}.${i + 1}`);
    if (files > 1) renameIfThere(path, `${path}.1`);
    else rmSync(path, { force: true });
    torn = false;
  };

  const append = (line: string, sync: boolean): boolean => {
    try {
      open();
      if (bytes > 0 && bytes + line.length > maxFileBytes) rotate();
      const target = open();
      const data = Buffer.from(torn ? `\n${line}` : line);
      for (let offset = 0; offset < data.byteLength;) {
        const written = writeSync(target, data, offset);
        torn = true;
        offset += written;
        bytes += written;
      }
      torn = false;
      if (sync) fdatasyncSync(target);
      return true;
    } catch {
      // A full or failing disk: the kernel must go on, and the next line tries again. The count tells of it.
      lost += 1;
      closeQuietly(close);
      return false;
    }
  };

  return { append, lost: () => lost, [Symbol.dispose]: () => closeQuietly(close) };
};

const NEWLINE = 0x0a;

const lastByte = (fd: number, size: number): number | undefined => {
  const byte = Buffer.alloc(1);
  return readSync(fd, byte, 0, 1, size - 1) === 1 ? byte[0] : undefined;
};

const renameIfThere = (from: string, to: string): void => {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
};

const closeQuietly = (close: () => void): void => {
  try {
    close();
  } catch {
    // Nothing is left to do with a descriptor that cannot be closed.
  }
};
