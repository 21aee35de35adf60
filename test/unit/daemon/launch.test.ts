/** The launchers, in a tree of their own: a program that loads, one that does not, and no node_modules at all. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');
let tree: string;

beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), 'kerneld-launch-'));
  mkdirSync(join(tree, 'daemon/cli'), { recursive: true });
  copyFileSync(join(ROOT, 'package.json'), join(tree, 'package.json'));
  for (const file of ['launch', 'kerneld', 'kernelctl']) {
    copyFileSync(join(ROOT, `daemon/${file}.mjs`), join(tree, `daemon/${file}.mjs`));
  }
});
afterEach(() => rmSync(tree, { recursive: true, force: true }));

const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: '1' };
const program = (source: string, path = 'daemon/main.ts') => writeFileSync(join(tree, path), source);
const launch = (name: string, ...args: string[]) =>
  spawnSync(process.execPath, [join(tree, `daemon/${name}.mjs`), ...args], { encoding: 'utf8', env, timeout: 10_000 });

test('the program gets the arguments, and its result is the exit status', () => {
  program(`export const main = async (argv: string[]): Promise<number> => { console.log(argv.join('|')); return 3; };`);
  const { status, stdout, stderr } = launch('kerneld', 'a b', '--config');
  expect({ status, stdout, stderr }).toEqual({ status: 3, stdout: 'a b|--config\n', stderr: '' });
});

test('kernelctl ends when its program has, even with a socket or timer still open', () => {
  program(`export const main = async () => { setInterval(() => {}, 1000); return 0; };`, 'daemon/cli/main.ts');
  expect(launch('kernelctl').status).toBe(0);
});

test('a program that cannot be imported is told in two lines without a stack', () => {
  program(`import './gone.ts';\nexport const main = 1;`);
  const { status, stderr } = launch('kerneld');
  expect(status).toBe(1);
  expect(stderr.trimEnd().split('\n')).toEqual([
    expect.stringMatching(/^kerneld: the program does not load: Cannot find module .*gone\.ts/),
    expect.stringContaining('npm ci'),
  ]);
});

test('a program that throws ends with status 1 and its message', () => {
  program(`export const main = async () => { throw new Error('the disk is full'); };`);
  const { status, stderr } = launch('kerneld');
  expect(status).toBe(1);
  expect(stderr).toContain('kerneld: the disk is full\n');
});

test('another Node than the pinned one says what to do when the pinned one is missing', () => {
  const manifest = JSON.parse(readFileSync(join(tree, 'package.json'), 'utf8')) as Record<string, object>;
  const pinned = { [`node-linux-${process.arch}`]: '99.0.0' };
  writeFileSync(join(tree, 'package.json'), JSON.stringify({ ...manifest, optionalDependencies: pinned }));
  const { status, stderr } = launch('kernelctl');
  expect(status).toBe(1);
  expect(stderr).toContain('kernelctl: Node 99.0.0 is not installed');
  expect(stderr).toContain('npm ci');
});

test('another Node changes over to the pinned one: same pid or not, arguments, status and signals arrive', async () => {
  const manifest = JSON.parse(readFileSync(join(tree, 'package.json'), 'utf8')) as Record<string, object>;
  const pinned = { [`node-linux-${process.arch}`]: '99.0.0' };
  writeFileSync(join(tree, 'package.json'), JSON.stringify({ ...manifest, optionalDependencies: pinned }));
  const carrier = join(tree, `node_modules/node-linux-${process.arch}/bin`);
  mkdirSync(carrier, { recursive: true });
  writeFileSync(
    join(carrier, 'node'),
    `#!/bin/sh\ntrap 'echo ended; exit 5' TERM\necho "ready $2"\nwhile :; do sleep 0.05; done\n`,
    { mode: 0o755 },
  );
  const child = spawn(process.execPath, [join(tree, 'daemon/kerneld.mjs'), '--x'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  const [status] = (await once(child, 'close')) as [number];
  expect({ status, output }).toEqual({ status: 5, output: 'ready --x\nended\n' });
});
