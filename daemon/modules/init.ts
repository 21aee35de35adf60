/** Makes a working module to begin with: the sample module under another name. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { KernelError } from '../../Kernel/contract/errors.ts';
import { MODULE_NAME_PATTERN, type ModuleName, parseModuleName } from '../../Kernel/contract/ids.ts';

/** The sample is the template, so that the one that is tested is the one that is handed out. */
const TEMPLATE = new URL('../../config/modules/greeter/', import.meta.url);
const TEMPLATE_NAME = 'greeter';
const FILES = ['module.yaml', 'index.mjs', 'README.md'] as const;

/**
 * Writes an example module into a directory that is empty or does not exist yet.
 *
 * @param name the module's name; without it the directory's
 * @returns the name and the files written
 * @throws KernelError `INVALID_PARAMS` (not a name), `CONFLICT` (the directory is not empty), `STATE_UNUSABLE`
 */
export const initModule = async (
  directory: string,
  name?: string,
): Promise<{ readonly name: ModuleName; readonly directory: string; readonly files: readonly string[] }> => {
  const module = nameOf(directory, name);
  try {
    await mkdir(directory, { recursive: true });
    if ((await readdir(directory)).length > 0) {
      throw new KernelError('CONFLICT', `${directory} is not empty`, {
        remedy: 'Name a directory that does not exist yet.',
      });
    }
    for (const file of FILES) {
      const text = await readFile(new URL(file, TEMPLATE), 'utf8');
      await writeFile(join(directory, file), text.replaceAll(TEMPLATE_NAME, module), { flag: 'wx' });
    }
  } catch (cause) {
    if (cause instanceof KernelError) throw cause;
    throw new KernelError(
      'STATE_UNUSABLE',
      `cannot write into ${directory}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
  return { name: module, directory, files: FILES };
};

const nameOf = (directory: string, name: string | undefined): ModuleName => {
  const chosen = name ?? basename(resolve(directory));
  if (MODULE_NAME_PATTERN.test(chosen)) return parseModuleName(chosen);
  throw new KernelError('INVALID_PARAMS', `${JSON.stringify(chosen.slice(0, 80))} is not a module name`, {
    remedy: 'Give a name of a-z, 0-9 and inner hyphens that begins with a letter.',
  });
};
