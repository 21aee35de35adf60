import type { CommanderError } from 'commander';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { OperationName } from '../../Kernel/contract/operations/index.ts';
import { buildProgram } from './program.ts';
import type { Run } from './session.ts';

/** What a command line asks for. */
export type Invocation =
  | { readonly kind: 'run'; readonly run: Run; readonly json: boolean; readonly socket: string | undefined }
  /** Help or the version. */
  | { readonly kind: 'text'; readonly text: string };

/** Tells, without parsing, whether a failure to parse is to be shown as JSON. */
export const wantsJson = (argv: readonly string[]): boolean => {
  const end = argv.indexOf('--');
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json');
};

/** @throws KernelError `USAGE` */
export const readArguments = async (argv: readonly string[]): Promise<Invocation> => {
  const first = parse(argv, () => '');
  if (first.kind !== 'text') return first;
  // Help was asked for, so the summaries are worth their loading time; parsing twice is free of effects.
  const { OPERATIONS } = await import('../../Kernel/contract/operations/index.ts');
  return parse(argv, (name) => OPERATIONS[name].summary);
};

const parse = (argv: readonly string[], summary: (name: OperationName) => string): Invocation => {
  let run: Run | undefined;
  let text = '';
  try {
    const program = buildProgram({
      summary,
      chosen: (asked) => {
        run = asked;
      },
      writeHelp: (part) => {
        text += part;
      },
      onExit: (error, command) => {
        throw new Exit(error, command);
      },
    });
    program.parse([...argv], { from: 'user' });
    const { json, socket } = program.opts<{ json?: true; socket?: string }>();
    if (run !== undefined) return { kind: 'run', run, json: json === true, socket };
  } catch (thrown) {
    if (!(thrown instanceof Exit)) throw thrown;
    if (thrown.error.exitCode === 0) return { kind: 'text', text };
    throw usage(thrown.error, thrown.command);
  }
  throw new KernelError('USAGE', 'a command is missing', { remedy: 'See kernelctl --help.' });
};

/** Carries the end of parsing out of commander. */
class Exit extends Error {
  readonly error: CommanderError;
  readonly command: string;
  constructor(error: CommanderError, command: string) {
    super(error.message);
    this.error = error;
    this.command = command;
  }
}

const usage = (error: CommanderError, command: string): KernelError =>
  new KernelError('USAGE', usageMessage(error, command), { cause: error, remedy: `See ${command} --help.` });

const usageMessage = (error: CommanderError, command: string): string => {
  // commander's way of saying that a group was named without one of its commands
  if (error.code === 'commander.help') return `${command} needs a command`;
  return error.message
    .replace(/^error: /, '')
    .replace(/^command-argument value (.*) is invalid for argument '(.*)'\. /s, '$1 is not acceptable as <$2>. ')
    .replaceAll('\n', ' ');
};
