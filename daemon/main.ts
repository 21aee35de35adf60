/** `kerneld`: boots the kernel in the foreground. Only the operating system or an operator starts it (K1). */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { toKernelError } from '../Kernel/contract/errors.ts';
import { compose } from './compose.ts';
import { KERNEL_VERSION } from './kernel-version.ts';

const PROJECT_DIRECTORY = dirname(dirname(fileURLToPath(import.meta.url)));

const USAGE_STATUS = 2;

const parseArguments = (argv: readonly string[]): { readonly config: string | null } | number => {
  const program = new Command('kerneld')
    .description("Local supervisor daemon: keeps a machine its owner's while it runs code that nobody has vetted.")
    .option('--config <file>', 'configuration file (default: kernel.yaml of the home, else the shipped one)')
    .version(KERNEL_VERSION)
    .addHelpText(
      'after',
      '\nSignals: TERM and INT drain and stop (or leave the zones running, by lifecycle.onTerminate), HUP reloads.\nEnvironment: KERNELD_HOME, KERNELD_CONFIG, DOCKER_HOST.',
    )
    .allowExcessArguments(false)
    .exitOverride();
  try {
    program.parse(argv, { from: 'user' });
    return { config: program.opts<{ config?: string }>().config ?? null };
  } catch (thrown) {
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : USAGE_STATUS;
    throw thrown;
  }
};

/** Runs until it is asked to stop; resolves with the exit status. */
export const main = async (argv: readonly string[]): Promise<number> => {
  const parsed = parseArguments(argv);
  if (typeof parsed === 'number') return parsed;
  // Sockets and state are made with the modes that they need; everything else is for the owner only.
  process.umask(0o077);
  const composed = compose({
    env: process.env,
    configFile: parsed.config,
    version: KERNEL_VERSION,
    projectDirectory: PROJECT_DIRECTORY,
    onUp: ({ paths, bootMs, mode }) =>
      composed.log.info(`kerneld is up: ${mode}`, {
        operatorSocket: paths.operatorSocket,
        bootMs: Math.round(bootMs ?? 0),
        pid: process.pid,
      }),
  });
  const stop = (signal: NodeJS.Signals): void => composed.terminate(`received ${signal}`);
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', () => void composed.reload());
  // A fault that nobody handled: say it durably, and let the system start us again; instances go on meanwhile.
  process.on('uncaughtException', (error) => {
    composed.log.critical('a fault that nobody handled', { error: toKernelError(error) });
    process.exit(1);
  });
  // Holds the event loop open while everything waits on timers that do not.
  const alive = setInterval(() => undefined, 60_000);
  try {
    return await composed.kernel.run();
  } finally {
    clearInterval(alive);
  }
};
