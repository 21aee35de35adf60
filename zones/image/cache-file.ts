/** Small JSON files under the home's cache directory. Losing or damaging one costs time and nothing else. */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { z } from 'zod';

/** Null when the file is missing or does not have the form: the caller computes anew. */
export const readCacheFile = async <T>(path: string, schema: z.ZodType<T>): Promise<T | null> => {
  try {
    const result = schema.safeParse(JSON.parse(await readFile(path, 'utf8')));
    return result.success ? result.data : null;
  } catch (thrown) {
    if (thrown instanceof SyntaxError || (thrown as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw thrown;
  }
};

/** Replaces the file at once, so that a reader or a crash finds the old or the new and no half. */
export const writeCacheFile = async (path: string, content: string | Uint8Array): Promise<void> => {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomUUID()}.tmp`; // two may write the same file at once
  await writeFile(temporary, content, { mode: 0o600 });
  await rename(temporary, path);
};
