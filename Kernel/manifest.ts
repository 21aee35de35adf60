/**
 * What the kernel is made of, in boot order (K1). Boot, handover and shutdown follow this list; shutdown walks
 * it backwards. A component that fails names itself, what it needed and what to do.
 */

export type ComponentDeclaration = {
  readonly name: string;
  /** What it is for, in one line. */
  readonly purpose: string;
  /** Components that must be up before; each stands earlier in the list. */
  readonly needs: readonly string[];
  /** What an operator can do when it does not start and the error itself names no remedy. */
  readonly remedy: string;
};

export const COMPONENTS = [
  {
    name: 'home',
    purpose: 'own the state and run directories and hold their lock',
    needs: [],
    remedy: 'See that no other kernel uses this home and that its directories can be written.',
  },
  {
    name: 'configuration',
    purpose: 'read and check kernel.yaml',
    needs: ['home'],
    remedy: 'kernelctl config check shows every problem with its position.',
  },
  {
    name: 'log',
    purpose: 'write the kernel log and the output of modules to disk',
    needs: ['home', 'configuration'],
    remedy: 'See that the logs directory can be written.',
  },
  {
    name: 'store',
    purpose: 'hold the installed modules',
    needs: ['home', 'log'],
    remedy: 'kernelctl doctor names damaged entries.',
  },
  {
    name: 'control',
    purpose: 'listen on the operator socket',
    needs: ['home', 'configuration', 'log'],
    remedy: 'Set KERNELD_HOME to a short path that this user may write to.',
  },
  {
    name: 'zones',
    purpose: 'watch the engine and supervise the zones',
    needs: ['configuration', 'log', 'store', 'control'],
    remedy: 'scripts/engine start brings up an engine; kernelctl doctor checks it.',
  },
] as const satisfies readonly ComponentDeclaration[];

export type ComponentName = (typeof COMPONENTS)[number]['name'];

/** Names in boot order. */
export const BOOT_ORDER: readonly ComponentName[] = COMPONENTS.map(({ name }) => name);
