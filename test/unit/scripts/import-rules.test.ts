/** Every import rule is broken once, in a tree that looks like ours, and must be named by the check. */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');
let tree: string;

/** File by file: what it holds, and the rules that it breaks. */
const FILES: Record<string, { source: string; breaks: string[] }> = {
  // What the others import; breaks nothing.
  'Kernel/contract/ok.ts': { source: `import { z } from 'zod';\nexport const a = z;`, breaks: [] },
  'Kernel/core/ok.ts': { source: `import { a } from '../contract/ok.ts';\nexport const b = a;`, breaks: [] },
  'Kernel/core/ok.machine.ts': {
    source: `import type { Dirent } from 'node:fs';\nimport type { b } from './ok.ts';\nimport { a } from '../contract/ok.ts';\nexport const c: [typeof b, Dirent?] = [a];`,
    breaks: [],
  },
  'zones/ok.ts': { source: `export { c } from '../Kernel/core/ok.machine.ts';`, breaks: [] },
  'zones/docker/ok.ts': { source: `export { default } from 'dockerode';`, breaks: [] },
  'zones/agent/ok.ts': { source: `export { a } from '../../Kernel/contract/ok.ts';`, breaks: [] },
  'daemon/ok.ts': { source: `export { c } from '../zones/ok.ts';`, breaks: [] },
  'daemon/cli/ok.ts': { source: `import 'commander';\nexport { a } from '../../Kernel/contract/ok.ts';`, breaks: [] },
  'daemon/launch.mjs': { source: `import 'node:fs';`, breaks: [] },
  'daemon/ok.mjs': { source: `await import('./launch.mjs');`, breaks: [] },
  'config/ok.ts': { source: `import 'yaml';\nexport { a } from '../Kernel/contract/ok.ts';`, breaks: [] },
  'fallback/ok.mjs': { source: `import 'node:net';`, breaks: [] },

  'Kernel/contract/leaf.ts': { source: `export * from '../core/ok.ts';`, breaks: ['contract-is-the-leaf'] },
  'Kernel/contract/effects.ts': { source: `import 'node:fs';`, breaks: ['contract-has-no-effects'] },
  'Kernel/core/zone.ts': { source: `export * from '../../zones/ok.ts';`, breaks: ['kernel-sees-only-itself'] },
  'Kernel/core/config-type.ts': {
    source: `import type { a } from '../../config/ok.ts';\nexport type A = typeof a;`,
    breaks: ['kernel-sees-only-itself'],
  },
  'Kernel/core/library.ts': { source: `import 'yaml';`, breaks: ['kernel-uses-no-library'] },
  'Kernel/core/io.ts': { source: `import 'node:fs';`, breaks: ['kernel-does-no-io'] },
  'zones/impure.plan.ts': { source: `export * from './ok.ts';`, breaks: ['pure-files-import-pure-files'] },
  'zones/builtin.verdict.ts': { source: `import 'node:crypto';`, breaks: ['pure-files-use-nothing-real'] },
  'zones/library.plan.ts': { source: `import 'zod';`, breaks: ['pure-files-use-nothing-real'] },
  'zones/daemon.ts': { source: `export * from '../daemon/ok.ts';`, breaks: ['zones-see-no-daemon'] },
  'daemon/engine.ts': {
    source: `import type Docker from 'dockerode';\nexport type D = Docker;`,
    breaks: ['only-docker-imports-dockerode'],
  },
  'config/io.ts': { source: `import 'node:fs';`, breaks: ['config-imports-the-contract-only'] },
  'config/zones.ts': { source: `export * from '../zones/ok.ts';`, breaks: ['config-imports-the-contract-only'] },
  'daemon/cli/zones.ts': { source: `export * from '../../zones/ok.ts';`, breaks: ['terminal-sees-the-contract-only'] },
  'daemon/client/kernel.ts': {
    source: `export * from '../../Kernel/core/ok.ts';`,
    breaks: ['terminal-sees-the-contract-only'],
  },
  'daemon/cli/pino.ts': { source: `import 'pino';`, breaks: ['terminal-uses-few-libraries'] },
  'daemon/client/prints.ts': { source: `export * from '../cli/ok.ts';`, breaks: ['client-knows-no-terminal'] },
  'fallback/library.mjs': { source: `import 'ws';`, breaks: ['fallback-stands-alone'] },
  'daemon/broken.mjs': { source: `import 'ws';`, breaks: ['launchers-stand-alone'] },
  'zones/agent/docker.ts': { source: `export * from '../ok.ts';`, breaks: ['agent-stands-alone'] },
  'zones/circle-a.ts': { source: `export * from './circle-b.ts';\nexport const x = 1;`, breaks: ['no-circles'] },
  // A circle is reported once, at the first of its files.
  'zones/circle-b.ts': { source: `export { x as y } from './circle-a.ts';`, breaks: [] },
  'daemon/dev.ts': { source: `import 'fast-check';`, breaks: ['no-dev-library'] },
  'daemon/undeclared.ts': { source: `import 'ms';`, breaks: ['no-undeclared-library'] },
  'daemon/missing.ts': { source: `import './nowhere.ts';`, breaks: ['resolves'] },
};

beforeAll(() => {
  mkdirSync(join(ROOT, 'test/.tmp'), { recursive: true });
  tree = mkdtempSync(join(ROOT, 'test/.tmp/import-rules-'));
  copyFileSync(join(ROOT, 'package.json'), join(tree, 'package.json'));
  for (const [path, { source }] of Object.entries(FILES)) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), `${source}\n`);
  }
});
afterAll(() => rmSync(tree, { recursive: true, force: true }));

test('each rule names the file that breaks it, and no other', () => {
  const cruiser = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs');
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [
      ...[
        '--import',
        join(ROOT, 'scripts/lib/swc-using.mjs'),
        cruiser,
        '--config',
        join(ROOT, '.dependency-cruiser.mjs'),
      ],
      ...['--output-type', 'json', 'Kernel', 'zones', 'daemon', 'config', 'fallback'],
    ],
    { cwd: tree, encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  const { summary } = JSON.parse(stdout) as { summary: { violations: { from: string; rule: { name: string } }[] } };
  const found: Record<string, string[]> = Object.fromEntries(Object.keys(FILES).map((path) => [path, []]));
  for (const { from, rule } of summary.violations) found[from] = [...new Set([...(found[from] ?? []), rule.name])];
  expect(found).toEqual(Object.fromEntries(Object.entries(FILES).map(([path, { breaks }]) => [path, breaks])));
});

test('a clock, a die or a process in a pure file is an error of lint', () => {
  const file = join(tree, 'Kernel/core/clock.machine.ts');
  writeFileSync(file, 'export const now = [Date.now(), Math.random(), process.pid, performance.now(), setTimeout];\n');
  const lint = () =>
    execFileSync(process.execPath, [join(ROOT, 'node_modules/oxlint/bin/oxlint'), '--format', 'unix', file], {
      cwd: ROOT,
      encoding: 'utf8',
    });
  let output = '';
  try {
    output = lint();
  } catch (error) {
    output = (error as { stdout: string }).stdout;
  }
  for (const name of ['Date', 'Math.random', 'process', 'performance', 'setTimeout'])
    expect(output).toContain(`'${name}'`);
});
