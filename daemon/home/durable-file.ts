import { link, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Puts a directory's entries on the disk: without it a new name may be gone after a power cut. */
export const syncDirectory = async (directory: string): Promise<void> => {
  await using handle = await open(directory, 'r');
  await handle.sync();
};

/**
 * Creates a file with this content in one step, durable when it returns: at no moment does it exist empty or in
 * part. Gives false, and changes nothing, when there is one already.
 */
export const createFileOnce = async (path: string, text: string, mode: number, unique: string): Promise<boolean> => {
  const temporary = `${path}.${unique}`;
  try {
    {
      await using handle = await open(temporary, 'wx', mode);
      await handle.writeFile(text);
      await handle.sync();
    }
    // link(2) fails when the name exists, as rename(2) does not: of two that make it at once, one wins.
    await link(temporary, path);
    await syncDirectory(dirname(path));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
};
