/** `scripts/test`: sets up everything, runs all checks and tests, leaves nothing behind. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { containersWith, removeContainer } from './engine-api.mjs';
import { PINNED_NODE, ROOT, toolEnvironment } from './packages.mjs';
import { prepare } from './prepare.mjs';
import { layout, stopDockerd } from './private-engine.mjs';
import { withLock } from './lock.mjs';
import { say, step, Stop } from './terminal.mjs';
import { countTests } from './vitest-report.mjs';

/** Every container that a test makes carries this label, with the run's id as its value. */
const LABEL = 'kerneld.test';
const KILL_AFTER_MS = 10_000;

const total = { passed: 0, failed: 0 };
const run = `${process.pid}.${startTicks(process.pid)}`;
const reports = mkdtempSync(join(tmpdir(), 'kerneld-reports-'));
let current;
let interrupted;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interrupted ??= signal;
    end(current, signal);
  });
}

let engine;
try {
  engine = await prepare({ yes: process.argv.includes('--yes') });
  await removeLeftovers();
  const env = toolEnvironment({ DOCKER_HOST: engine.host, KERNELD_TEST_ENGINE: engine.host, KERNELD_TEST_RUN: run });
  await staticChecks(env);
  await vitest('unit', env);
  await vitest('component', env);
  await vitest('engine', env);
} catch (error) {
  report(error);
} finally {
  await clearUp().catch(report);
}
if (interrupted) say(`test: ended by ${interrupted}`);
// Nothing ran is no success.
if (interrupted || total.passed + total.failed === 0) total.failed += 1;
process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);
process.exit(total.failed === 0 ? 0 : 1);

function report(error) {
  total.failed += 1;
  say(`test: ${error instanceof Stop ? error.message : (error.stack ?? error)}`);
  if (error.remedy) say(`  → ${error.remedy}`);
}

/** Types, lint and the like are no tests and don't count as passed, but a failing one fails the run. */
async function staticChecks(env) {
  const status = await spawned([join(ROOT, 'scripts/check.mjs'), '--static'], env);
  if (status !== 0) total.failed += 1;
}

async function vitest(project, env) {
  if (interrupted) return;
  say(`\nTests: ${project}`);
  const file = join(reports, `${project}.json`);
  const args = ['run', '--project', project, '--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const status = await spawned([join(ROOT, 'node_modules/vitest/vitest.mjs'), ...args], env);
  let counted = { passed: 0, failed: 0, notes: [] };
  try {
    counted = countTests(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    say(`test: no report of the project ${project}: ${error.message}`);
  }
  for (const note of counted.notes) say(`test: ${note}`);
  // An error outside every test (a rejection nobody awaited, no test at all) shows only in the status.
  if (status !== 0 && counted.failed === 0) counted.failed = 1;
  total.passed += counted.passed;
  total.failed += counted.failed;
}

/** Runs a tool on the pinned Node, in a process group of its own so that it ends with all its children. */
function spawned(args, env) {
  return new Promise((resolve, reject) => {
    current = spawn(PINNED_NODE, args, { cwd: ROOT, env, stdio: ['ignore', 2, 2], detached: true });
    current.once('error', reject);
    current.once('close', (status) => {
      current = undefined;
      resolve(status);
    });
  });
}

function end(child, signal) {
  if (child === undefined) return;
  signalGroup(child.pid, signal);
  setTimeout(() => signalGroup(child.pid, 'SIGKILL'), KILL_AFTER_MS).unref();
}

function signalGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended meanwhile, which is what was wanted.
  }
}

async function removeLeftovers() {
  const left = (await containersWith(engine.socket, LABEL)).filter(({ labels }) => !runs(labels[LABEL]));
  for (const { id } of left) await removeContainer(engine.socket, id);
  if (left.length > 0) say(`Removed ${left.length} container(s) that an earlier run left behind`);
}

async function clearUp() {
  rmSync(reports, { recursive: true, force: true });
  if (engine === undefined) return;
  for (const { id } of await containersWith(engine.socket, `${LABEL}=${run}`)) await removeContainer(engine.socket, id);
  if (!engine.started) return;
  const paths = layout();
  await step('Private engine stopped', () => withLock(paths.lock, 60, async () => void (await stopDockerd(paths))));
}

/** Whether a run's id is that of a test run which goes on: pid and start time, since pids come round again. */
function runs(id) {
  const [pid, ticks] = (id ?? '').split('.');
  return pid !== '' && ticks !== undefined && startTicks(pid) === ticks;
}

function startTicks(pid) {
  try {
    // Field 22; the name in field 2 may hold spaces and brackets, so count from behind it.
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')[19];
  } catch {
    // No such process.
    return undefined;
  }
}
