/**
 * The command tree. Parsing has no effect: the action of a command only notes what is to be run, and the code
 * that runs it is imported when it is. Summaries come from the declarations of the operations; they are loaded
 * for help only, since loading them takes longer than most commands.
 */
import { Command, type CommanderError } from 'commander';
import type { ZoneName } from '../../Kernel/contract/ids.ts';
import type { OperationName } from '../../Kernel/contract/operations/index.ts';
import { followOption, limitOption, moduleArgument, timeoutOption, zoneArgument, zoneOption } from './arguments.ts';
import type { Run } from './session.ts';
import { readVersion } from './version.ts';

export type ProgramPorts = {
  /** What an operation does, in a few words; empty when no help is shown. */
  readonly summary: (name: OperationName) => string;
  /** Takes the run that the arguments ask for. */
  readonly chosen: (run: Run) => void;
  readonly writeHelp: (text: string) => void;
  /** Must throw. */
  readonly onExit: (error: CommanderError, command: string) => never;
};

const HELP_WIDTH = 80;

const EXAMPLES = `
Examples:
  kernelctl status
  kernelctl module init ./greeter
  kernelctl module install ./greeter --zone sandbox
  kernelctl module call greeter hello '{"name":"Ada"}'
  kernelctl logs greeter -f
  kernelctl status --json

Exit status: 0 done, 1 refused or failed, 2 usage, 3 no kernel at that socket.`;

const CALL_EXAMPLES = `
Examples:
  kernelctl module call greeter hello '{"name":"Ada"}'
  kernelctl module call greeter hello --timeout 2s - < params.json`;

type Follow = { readonly follow: boolean; readonly lines: number };

/** Builds the tree around the ports. */
export const buildProgram = (ports: ProgramPorts): Command => {
  const { summary, chosen } = ports;
  const settle = (command: Command, path: string): Command =>
    command
      .exitOverride((error) => ports.onExit(error, path))
      .configureHelp({ showGlobalOptions: true, minWidthToWrap: 20 })
      .configureOutput({
        writeOut: ports.writeHelp,
        writeErr: ports.writeHelp,
        // Reported by the caller, in the same form as every other failure.
        outputError: () => {},
        getOutHelpWidth: () => HELP_WIDTH,
        getErrHelpWidth: () => HELP_WIDTH,
        getOutHasColors: () => false,
        getErrHasColors: () => false,
      });
  const under =
    (parent: Command, path: string) =>
    (name: string, description: string): Command =>
      settle(parent.command(name).description(description), `${path} ${name}`);

  const program = settle(new Command('kernelctl'), 'kernelctl')
    .description('Control a kernel of kerneld.')
    .version(readVersion(), '-V, --version', 'print the version')
    .option('--socket <path>', 'operator socket of the kernel (default: that of KERNELD_HOME)')
    .option('--json', 'print one JSON document (one a line when following)')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .addHelpText('after', EXAMPLES);
  const command = under(program, 'kernelctl');

  command('status', summary('kernel.status')).action(() =>
    chosen(async (session) => (await import('./commands/kernel.ts')).status(session)),
  );
  command('doctor', summary('kernel.doctor')).action(() =>
    chosen(async (session) => (await import('./commands/kernel.ts')).doctor(session)),
  );
  command('events', summary('event.follow'))
    .addOption(followOption())
    .addOption(limitOption(50))
    .action(({ follow, lines }: Follow) =>
      chosen(async (session) => (await import('./commands/follow.ts')).events({ follow, limit: lines })(session)),
    );
  command('logs', summary('module.logs'))
    .addArgument(moduleArgument())
    .addOption(followOption())
    .addOption(limitOption(100))
    .action((module: string, { follow, lines }: Follow) =>
      chosen(async (session) => (await import('./commands/follow.ts')).logs(module, { follow, limit: lines })(session)),
    );

  addZone(under(command('zone', 'Look at and control zones'), 'kernelctl zone'), ports);
  addModule(under(command('module', 'Make, install, call and control modules'), 'kernelctl module'), ports);
  addConfig(under(command('config', 'Check, show and apply kernel.yaml'), 'kernelctl config'), ports);
  return program;
};

type Under = (name: string, description: string) => Command;

const addZone = (command: Under, { summary, chosen }: ProgramPorts): void => {
  command('ls', summary('zone.list')).action(() =>
    chosen(async (session) => (await import('./commands/zone.ts')).list(session)),
  );
  command('inspect', summary('zone.inspect'))
    .addArgument(zoneArgument())
    .action((zone: ZoneName) => chosen(async (session) => (await import('./commands/zone.ts')).inspect(zone)(session)));
  for (const action of ['start', 'stop', 'restart'] as const) {
    command(action, summary(`zone.${action}`))
      .addArgument(zoneArgument())
      .action((zone: ZoneName) =>
        chosen(async (session) => (await import('./commands/zone.ts')).change(action, zone)(session)),
      );
  }
};

const addModule = (command: Under, { summary, chosen }: ProgramPorts): void => {
  command('init', 'Make a working example of a module')
    .argument('<dir>', 'directory to make')
    .action((dir: string) =>
      chosen(async (session) => (await import('./commands/module-files.ts')).init(dir)(session)),
    );
  command('pack', 'Pack a module into an artifact')
    .argument('<dir>', 'directory of the module')
    .option('-o, --output <file>', 'file to write (default: NAME-VERSION.kmod)')
    .action((dir: string, { output }: { output?: string }) =>
      chosen(async (session) => (await import('./commands/module-files.ts')).pack(dir, output)(session)),
    );
  command('validate', 'Check a module or an artifact')
    .argument('<path>', 'directory or artifact')
    .action((path: string) =>
      chosen(async (session) => (await import('./commands/module-files.ts')).validate(path)(session)),
    );
  command('install', summary('module.install'))
    .argument('<path>', 'directory or artifact')
    .addOption(zoneOption())
    .action((path: string, { zone }: { zone?: ZoneName }) =>
      chosen(async (session) => (await import('./commands/module-install.ts')).install(path, zone)(session)),
    );
  command('call', summary('module.call'))
    .addArgument(moduleArgument())
    .argument('<function>', 'function to call')
    .argument('[json]', 'parameters as JSON; - reads them from standard input')
    .addOption(timeoutOption())
    .addHelpText('after', CALL_EXAMPLES)
    .action((module: string, name: string, json: string | undefined, { timeout }: { timeout?: number }) =>
      chosen(async (session) =>
        (await import('./commands/module-call.ts')).call({ module, function: name, json, timeoutMs: timeout })(session),
      ),
    );
  command('ls', summary('module.list')).action(() =>
    chosen(async (session) => (await import('./commands/module.ts')).list(session)),
  );
  for (const [name, operation, run] of [
    ['show', 'module.show', 'show'],
    ['restart', 'module.restart', 'restart'],
    ['rm', 'module.remove', 'remove'],
  ] as const) {
    command(name, summary(operation))
      .addArgument(moduleArgument())
      .action((module: string) =>
        chosen(async (session) => (await import('./commands/module.ts'))[run](module)(session)),
      );
  }
};

const addConfig = (command: Under, { summary, chosen }: ProgramPorts): void => {
  command('check', summary('config.check'))
    .option('--file <file>', 'check this file; needs no kernel')
    .action(({ file }: { file?: string }) =>
      chosen(async (session) => (await import('./commands/config.ts')).check(file)(session)),
    );
  command('show', summary('config.show')).action(() =>
    chosen(async (session) => (await import('./commands/config.ts')).show(session)),
  );
  command('reload', summary('config.reload')).action(() =>
    chosen(async (session) => (await import('./commands/config.ts')).reload(session)),
  );
};
