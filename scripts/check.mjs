/**
 * `npm run check`: everything that needs no engine, in well under a minute.
 *
 * Usage: node scripts/check.mjs [--static] [step …]
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { PINNED_NODE, ROOT, toolEnvironment } from './lib/packages.mjs';
import { say } from './lib/terminal.mjs';

const tool = (path) => join(ROOT, 'node_modules', path);
const LIMIT_MS = 180_000;

/** The longest first, so that the short ones fill the gaps. `remedy` is printed when the tool's own words don't say it. */
const STEPS = [
  { name: 'unit', args: [tool('vitest/vitest.mjs'), 'run', '--project', 'unit', '--reporter=dot'], isStatic: false },
  { name: 'types', program: tool('.bin/tsc'), args: ['--noEmit', '--project', '.'] },
  { name: 'lint', args: [tool('oxlint/bin/oxlint'), '--deny-warnings'] },
  {
    name: 'imports',
    args: [
      '--import',
      './scripts/lib/swc-using.mjs',
      tool('dependency-cruiser/bin/dependency-cruiser.mjs'),
      '--config',
      '.dependency-cruiser.mjs',
      '--output-type',
      'err-long',
      ...present('Kernel', 'zones', 'daemon', 'config', 'fallback'),
    ],
  },
  { name: 'unused', args: [tool('knip/bin/knip.js'), '--no-progress'] },
  { name: 'format', args: [tool('oxfmt/bin/oxfmt'), '--check'], remedy: 'run `npm run format`' },
];

const words = process.argv.slice(2);
const named = words.filter((word) => !word.startsWith('-'));
const unknown = named.filter((name) => !STEPS.some((step) => step.name === name));
if (unknown.length > 0) {
  say(`check: no step ${unknown.join(', ')}; there are ${STEPS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const chosen = STEPS.filter(
  ({ name, isStatic }) =>
    (named.length === 0 || named.includes(name)) && !(words.includes('--static') && isStatic === false),
);
const from = performance.now();
const failures = [];
const waiting = [...chosen];
await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, worker));
say(
  failures.length === 0
    ? `check passed in ${seconds(from)}`
    : `check failed: ${failures.join(', ')} (${seconds(from)})`,
);
process.exit(failures.length === 0 ? 0 : 1);

async function worker() {
  for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
    const started = performance.now();
    const { status, output } = await run(step);
    say(`${status === 0 ? '✔' : '✖'} ${step.name} (${seconds(started)})`);
    if (status === 0) continue;
    failures.push(step.name);
    // dependency-cruiser looks for the older compiler and warns that it may miss files; with swc it misses none.
    say(output.replace(/^‼ missing-tsc-transpiler[^]*/m, '').trimEnd());
    if (step.remedy) say(`  → ${step.remedy}`);
  }
}

function run({ program = PINNED_NODE, args }) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: ROOT,
      // Its output is read from a pipe, here and by whoever reads ours: no colours, no cursor.
      env: toolEnvironment({ NO_COLOR: '1', FORCE_COLOR: '0' }),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LIMIT_MS,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.once('error', (error) => resolve({ status: 1, output: error.message }));
    child.once('close', (status, signal) =>
      resolve({ status, output: signal === null ? output : `${output}\nended by ${signal}` }),
    );
  });
}

/** dependency-cruiser stops at a folder that is not there. */
function present(...folders) {
  return folders.filter((folder) => existsSync(join(ROOT, folder)));
}

function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
