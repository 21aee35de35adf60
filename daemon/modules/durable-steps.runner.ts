/** Executes durable steps on the file system, one after the other; one executor per kind of step. */
import { mkdir, open, rename, rm, symlink } from 'node:fs/promises';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { DurableStep } from '../../Kernel/core/passive-update/durable-step.ts';

type Executors = { readonly [Kind in DurableStep['do']]: (step: Extract<DurableStep, { do: Kind }>) => Promise<void> };

const hasCode = (fault: unknown, code: string): boolean =>
  fault instanceof Error && 'code' in fault && fault.code === code;

const executors: Executors = {
  makeDirectory: async ({ path, existing }) => {
    try {
      await mkdir(path, { mode: 0o700 });
    } catch (fault) {
      if (!existing || !hasCode(fault, 'EEXIST')) throw fault;
    }
  },
  writeFile: async ({ path, content }) => {
    await using file = await open(path, 'wx', 0o400);
    await file.writeFile(content);
    await file.sync();
  },
  makeLink: async ({ path, target }) => symlink(target, path),
  syncDirectory: async ({ path }) => {
    await using directory = await open(path, 'r');
    await directory.sync();
  },
  rename: async ({ from, to }) => rename(from, to),
  removeTree: async ({ path }) => rm(path, { recursive: true, force: true }),
};

/** Runs one step. The cast is sound: `step.do` picks the executor of its own kind. */
export const runStep = (step: DurableStep): Promise<void> =>
  (executors[step.do] as (step: DurableStep) => Promise<void>)(step);

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'Free space on the disk that holds the state directory.',
  EDQUOT: 'Raise the disk quota of the user that runs the kernel.',
  EROFS: 'Mount the file system of the state directory writable.',
  EACCES: 'Give the state directory to the user that runs the kernel.',
};

/**
 * Runs steps in order and stops at the first that fails; what was done before stays, as after a power cut.
 *
 * @throws KernelError `STATE_UNUSABLE` with the failed step in its context
 */
export const runSteps = async (steps: readonly DurableStep[]): Promise<void> => {
  for (const step of steps) {
    try {
      await runStep(step);
    } catch (cause) {
      const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
      const path = step.do === 'rename' ? step.to : step.path;
      throw new KernelError('STATE_UNUSABLE', `the state directory cannot be changed: ${step.do} failed with ${code}`, {
        cause,
        context: { step: step.do, path, code },
        remedy: REMEDIES[code] ?? 'Check the state directory with `kernelctl doctor`.',
      });
    }
  }
};
