/** `scripts/engine`: finds, starts and stops the container engine. */
import { version } from './engine-api.mjs';
import { ensureEngine } from './ensure-engine.mjs';
import { findEngine } from './find-engine.mjs';
import { withLock } from './lock.mjs';
import { requirePlatform } from './machine.mjs';
import { dockerdPid, layout, stopDockerd } from './private-engine.mjs';
import { main, say } from './terminal.mjs';

const USAGE = `Usage: scripts/engine start [--yes] | stop | status | --print-host

  start         use the engine that runs (DOCKER_HOST, else /var/run/docker.sock), else start a private one
  stop          end the private engine; its containers go on
  status        which engine is used, and whether it answers
  --print-host  print where the engine is (unix://…) and nothing else; also with start
  --private     pass over DOCKER_HOST and the machine's engine
  --yes         install what is missing without asking

KERNELD_ENGINE_HOME is the directory of the private engine (/var/lib/kerneld-engine).`;

const KINDS = {
  named: 'the engine that DOCKER_HOST names',
  machine: "the machine's engine",
  private: 'the private engine',
};
const FLAGS = ['--yes', '--private', '--print-host'];

await main('engine', async () => {
  const words = process.argv.slice(2);
  const flags = new Set(words.filter((word) => word.startsWith('-')));
  const [command = flags.has('--print-host') ? 'find' : 'help', ...rest] = words.filter(
    (word) => !word.startsWith('-'),
  );
  if (flags.has('--help') || command === 'help') return usage(flags.has('--help') ? 0 : 2);
  if (rest.length > 0 || [...flags].some((flag) => !FLAGS.includes(flag))) return usage(2);
  requirePlatform();
  const options = { yes: flags.has('--yes'), privateOnly: flags.has('--private') };
  switch (command) {
    case 'start':
      return start(options, flags.has('--print-host'));
    case 'stop':
      return stop();
    case 'status':
    case 'find':
      return status(options, command === 'find' || flags.has('--print-host'));
    default:
      return usage(2);
  }
});

function usage(status) {
  (status === 0 ? process.stdout : process.stderr).write(`${USAGE}\n`);
  return status;
}

async function start(options, hostOnly) {
  const engine = await ensureEngine(options);
  if (hostOnly) process.stdout.write(`${engine.host}\n`);
  else
    say(
      `${engine.started ? 'Started' : 'Using'} ${KINDS[engine.kind]}, Docker ${await version(engine.socket)}, ${engine.host}`,
    );
  return 0;
}

async function status(options, hostOnly) {
  const engine = await findEngine(options);
  if (engine === undefined) {
    say('No container engine answers. `scripts/engine start` starts one.');
    return 1;
  }
  if (hostOnly) process.stdout.write(`${engine.host}\n`);
  else process.stdout.write(`${KINDS[engine.kind]} answers: Docker ${await version(engine.socket)}, ${engine.host}\n`);
  return 0;
}

async function stop() {
  const paths = layout();
  const pid = dockerdPid(paths);
  const { stopped, running } = await withLock(paths.lock, 60, () => stopDockerd(paths));
  if (!stopped) say('The private engine does not run.');
  else say(`Stopped the private engine${pid === undefined ? '' : ` (pid ${pid})`}.`);
  if (running > 0)
    say(
      `${running} container${running === 1 ? '' : 's'} still run${running === 1 ? 's' : ''}; \`scripts/engine start\` takes charge of ${running === 1 ? 'it' : 'them'} again.`,
    );
  return 0;
}
