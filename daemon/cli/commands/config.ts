import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { KernelError } from '../../../Kernel/contract/errors.ts';
import type { OperationResult } from '../../../Kernel/contract/operations/index.ts';
import { chooseConfigFile, homePaths } from '../../../Kernel/contract/paths.ts';
import { renderChanges, renderCheck, renderConfig } from '../render/config.ts';
import { escapeText } from '../render/text.ts';
import { ask, present, type Run, type Session } from '../session.ts';

type Check = OperationResult<'config.check'>;

const SHIPPED = new URL('../../../config/kernel.yaml', import.meta.url);

/**
 * Checks a file by itself when one is named; else asks the kernel, which also knows what would change; else, where
 * no kernel runs, checks the file that a kernel would read. Mistakes end with 1.
 */
export const check =
  (file: string | undefined): Run =>
  async (session) => {
    const result = file === undefined ? await checkCurrent(session) : await checkFile(session, file);
    await present(session, result, renderCheck);
    return result.ok ? 0 : 1;
  };

const checkCurrent = async (session: Session): Promise<Check> => {
  try {
    return await ask(session, 'config.check', {});
  } catch (error) {
    if (!(error instanceof KernelError && error.code === 'NO_KERNEL')) throw error;
    if (!session.json) await session.out.lines(['no kernel runs, so only the file is checked']);
    return checkFile(session, chooseConfigFile(homePaths(session.io.env), existsSync, fileURLToPath(SHIPPED)));
  }
};

const checkFile = async (session: Session, file: string): Promise<Check> => {
  const { readKernelConfig } = await import('../../config/read-config.ts');
  try {
    await readKernelConfig({ file, signal: session.signal });
    return { ok: true, file, issues: [], changes: [] };
  } catch (error) {
    if (!(error instanceof KernelError && error.code === 'CONFIG_INVALID')) throw error;
    return { ok: false, file, issues: error.context['issues'] as Check['issues'], changes: [] };
  }
};

export const show: Run = async (session) => {
  await present(session, await ask(session, 'config.show', {}), renderConfig);
  return 0;
};

export const reload: Run = async (session) => {
  const result = await ask(session, 'config.reload', {});
  await present(session, result, (value, style) => [
    `read ${escapeText(value.file)}`,
    ...renderChanges(value.changes, style),
  ]);
  return 0;
};
