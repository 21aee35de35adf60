/**
 * Runs beside a kernel that `scripts/start` has just started: waits until it is up, installs the
 * sample module when the home has none, and says what to try. Argument: the kernel's pid.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from './packages.mjs';
import { say } from './terminal.mjs';

const READY_LIMIT_MS = 120_000;
const kernelPid = Number(process.argv[2]);
const sample = { name: 'greeter', directory: join(ROOT, 'config/modules/greeter') };

const status = await whenRunning();
if (status !== undefined) {
  if (!status.modules.some(({ name }) => name === sample.name) && existsSync(sample.directory)) await installSample();
  say(`
The kernel runs (pid ${kernelPid}). In another terminal:
  scripts/kernelctl status
  scripts/kernelctl module call greeter hello '{"name":"Ada"}'
  scripts/kernelctl logs greeter -f
Ctrl-C here stops it.
`);
}

/** The status of this very kernel once it is up; undefined when it has ended, has failed, or takes too long. */
async function whenRunning() {
  const until = Date.now() + READY_LIMIT_MS;
  while (Date.now() < until && existsSync(`/proc/${kernelPid}`)) {
    const { output } = await kernelctl(['status', '--json']);
    const answer = parse(output);
    // Another kernel may hold this home; ours then ends by itself, and its words are enough.
    if (answer?.mode === 'running' && answer.pid === kernelPid) return answer;
    await sleep(250);
  }
  return undefined;
}

async function installSample() {
  const { failed, output } = await kernelctl(['module', 'install', sample.directory, '--zone', 'stable']);
  say(failed ? `The sample module was not installed: ${output.trim()}` : `Installed the sample module ${sample.name}.`);
}

function kernelctl(args) {
  return new Promise((resolve) => {
    execFile(join(ROOT, 'scripts/kernelctl'), args, { timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ failed: error !== null, output: error === null ? stdout : stderr || stdout });
    });
  });
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    // No kernel yet, or one that can't answer yet: ask again.
    return undefined;
  }
}
