/** Rotated files of lines: `name`, `name.1`, … `name.<files - 1>`, the first being the newest. */
import { mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

type FileLimits = { readonly maxFileBytes: number; readonly files: number };

const READ_BYTES = 64 * 1024;

/** Appends lines, rotating before a file would pass its size. Callers see to it that one runs at a time. */
export const appendRotating = async (path: string, lines: readonly string[], limits: FileLimits): Promise<void> => {
  let next = 0;
  while (next < lines.length) {
    let bytes = await sizeOf(path);
    if (bytes > 0 && bytes + Buffer.byteLength(lines[next]!) + 1 > limits.maxFileBytes) {
      await rotate(path, limits.files);
      bytes = 0;
    }
    const first = next;
    // At least one line, so that a line longer than a file may be still ends the loop.
    do {
      bytes += Buffer.byteLength(lines[next]!) + 1;
      next += 1;
    } while (next < lines.length && bytes + Buffer.byteLength(lines[next]!) + 1 <= limits.maxFileBytes);
    await appendText(path, `${lines.slice(first, next).join('\n')}\n`);
  }
};

const appendText = async (path: string, text: string): Promise<void> => {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await using handle = await open(path, 'a+', 0o640);
  await handle.appendFile((await endsInsideLine(handle)) ? `\n${text}` : text);
};

/** A line that a full disk or a power cut left in half must not swallow the next one. */
const endsInsideLine = async (handle: FileHandle): Promise<boolean> => {
  const { size } = await handle.stat();
  if (size === 0) return false;
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
  return buffer[0] !== 0x0a;
};

const rotate = async (path: string, files: number): Promise<void> => {
  if (files <= 1) return rm(path, { force: true });
  await rm(`${path}.${files - 1}`, { force: true });
  for (let i = files - 2; i >= 0; i -= 1) {
    await rename(i === 0 ? path : `${path}.${i}`, `${path}.${i + 1}`).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    });
  }
};

const sizeOf = async (path: string): Promise<number> => {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
};

/** The newest `limit` lines that `parse` accepts, oldest first, and how many it refused on the way. */
export const readTail = async <T>(
  path: string,
  limit: number,
  limits: FileLimits,
  parse: (text: string) => T | null,
): Promise<{ readonly lines: T[]; readonly broken: number }> => {
  const newestFirst: T[] = [];
  let broken = 0;
  for (let i = 0; i < limits.files && newestFirst.length < limit; i += 1) {
    for await (const text of linesBackwards(i === 0 ? path : `${path}.${i}`)) {
      if (newestFirst.length >= limit) break;
      const line = text === '' ? undefined : parse(text);
      if (line === null) broken += 1;
      else if (line !== undefined) newestFirst.push(line);
    }
  }
  return { lines: newestFirst.reverse(), broken };
};

/** Lines of a file from its end. Splits bytes, not characters: a character cut by a block border stays whole. */
const linesBackwards = async function* (path: string): AsyncGenerator<string> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    let position = (await handle.stat()).size;
    let rest = Buffer.alloc(0);
    while (position > 0) {
      const length = Math.min(READ_BYTES, position);
      position -= length;
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
      const block = Buffer.concat([buffer.subarray(0, bytesRead), rest]);
      let end = block.length;
      for (
        let newline = block.lastIndexOf(0x0a, end - 1);
        newline >= 0 && end > 0;
        newline = end > 0 ? block.lastIndexOf(0x0a, end - 1) : -1
      ) {
        yield block.subarray(newline + 1, end).toString();
        end = newline;
      }
      rest = block.subarray(0, end);
    }
    if (rest.length > 0) yield rest.toString();
  } finally {
    await handle.close();
  }
};
