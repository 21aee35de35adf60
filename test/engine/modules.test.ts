/** Modules as their author and their operator meet them: made, packed, installed, called, changed, removed. */
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ENGINE_HOST,
  containersOf,
  eventually,
  fastConfig,
  startKernel,
  type KernelUnderTest,
} from '../support/kernel.ts';

let kernel: KernelUnderTest;
beforeAll(async () => {
  kernel = await startKernel({
    config: fastConfig('modules:\n  configured: { config: { word: hello, count: 3 } }\n'),
  });
});
afterAll(async () => {
  await kernel?.[Symbol.asyncDispose]();
});

type Failure = { readonly error: { readonly code: string; readonly message: string } };
const json = async (args: readonly string[]): Promise<{ status: number; value: unknown }> => {
  const { status, stdout, stderr } = await kernel.ctl([...args, '--json']);
  expect(stderr).toBe('');
  return { status, value: JSON.parse(stdout) as unknown };
};
const path = (name: string): string => join(kernel.home, 'sources', name);
/** Writes a module into a directory; JSON is YAML. */
const write = (name: string, manifest: Record<string, unknown>, files: Record<string, string>): string => {
  const directory = path(name);
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(join(directory, file, '..'), { recursive: true });
    writeFileSync(join(directory, file), text);
  }
  writeFileSync(
    join(directory, 'module.yaml'),
    JSON.stringify({ apiVersion: 'kerneld/v1', name, version: '1.0.0', entry: 'index.mjs', ...manifest }),
  );
  return directory;
};
const rows = async (module: string) =>
  (await kernel.status()).zones
    .flatMap((zone) => zone.instances.map((row) => ({ ...row, zone: zone.name })))
    .filter((row) => row.module === module);
const ready = (module: string, count: number) =>
  eventually(`${module} has ${count} instances, all ready`, async () => {
    const found = await rows(module);
    return found.length === count && found.every(({ state }) => state === 'ready') ? found : null;
  });

describe('a module on its way to its zone', () => {
  it('is made by init, checked, packed, installed from the artifact, and answers', async () => {
    const directory = path('my-first');
    expect((await json(['module', 'init', directory])).value).toMatchObject({ module: 'my-first' });
    expect(await json(['module', 'validate', directory])).toMatchObject({
      status: 0,
      value: { ok: true, module: 'my-first' },
    });
    const file = path('my-first.kmod');
    const packed = await json(['module', 'pack', directory, '-o', file]);
    expect(packed).toMatchObject({ status: 0, value: { file, module: 'my-first', version: '1.0.0' } });
    const installed = await json(['module', 'install', file, '--zone', 'stable']);
    expect(installed).toMatchObject({
      status: 0,
      value: {
        module: 'my-first',
        zone: 'stable',
        digest: (packed.value as { digest: string }).digest,
        signed: false,
        phase: 'running',
      },
    });
    const called = await kernel.ctl(['module', 'call', 'my-first', 'hello', '{"name":"Ada"}']);
    expect(called).toEqual({ status: 0, stdout: '{"greeting":"Hello, Ada"}\n', stderr: '' });
  });

  it('is packed to the same bytes each time, so that a digest names its content', async () => {
    const [first, second] = [path('once.kmod'), path('twice.kmod')];
    await json(['module', 'pack', path('my-first'), '-o', first]);
    await json(['module', 'pack', path('my-first'), '-o', second]);
    expect(readFileSync(first).equals(readFileSync(second))).toBe(true);
  });

  it('is shown as unsigned to people and programs', async () => {
    expect((await kernel.status()).modules.find(({ name }) => name === 'my-first')).toMatchObject({ signed: false });
    const { stdout } = await kernel.ctl(['status']);
    expect(stdout).toMatch(/my-first.*unsigned|unsigned.*my-first/s);
  });

  it('is refused when one byte of the artifact is wrong, and nothing changes', async () => {
    const bytes = readFileSync(path('my-first.kmod'));
    const before = { modules: (await kernel.status()).modules, store: readdirSync(join(kernel.home, 'state/store')) };
    for (const at of [10, Math.floor(bytes.length / 2), bytes.length - 6]) {
      const broken = Buffer.from(bytes);
      broken[at]! ^= 0x40;
      writeFileSync(path('broken.kmod'), broken);
      const { status, stdout } = await kernel.ctl(['module', 'install', path('broken.kmod'), '--json']);
      expect(status).toBe(1);
      expect(['ARTIFACT_INVALID', 'DIGEST_MISMATCH', 'MODULE_INVALID']).toContain(
        (JSON.parse(stdout) as Failure).error.code,
      );
    }
    expect({ modules: (await kernel.status()).modules, store: readdirSync(join(kernel.home, 'state/store')) }).toEqual(
      before,
    );
  });

  it('is refused with file, line and column when its manifest is wrong', async () => {
    const directory = path('wrong');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'index.mjs'), '');
    writeFileSync(
      join(directory, 'module.yaml'),
      'apiVersion: kerneld/v1\nname: wrong\nversion: 1.0.0\nentry: index.mjs\ninstnces: 2\n',
    );
    const { status, stdout, stderr } = await kernel.ctl(['module', 'install', directory]);
    expect(status).toBe(1);
    expect(stdout + stderr).toMatch(/module\.yaml:5:1/);
    expect(stdout + stderr).toContain('instances');
    expect(stdout + stderr).not.toMatch(/\n\s+at /);
  });
});

describe('what a module may be written in', () => {
  it('runs TypeScript with its types stripped', async () => {
    write(
      'typed',
      { entry: 'index.ts', functions: { add: {} } },
      {
        'index.ts': `import { sum } from './sum.ts';
type Pair = { readonly a: number; readonly b: number };
export async function add({ a, b }: Pair): Promise<number> { return sum(a, b) satisfies number; }`,
        'sum.ts': 'export const sum = (a: number, b: number): number => a + b;',
      },
    );
    expect((await json(['module', 'install', path('typed')])).status).toBe(0);
    expect(await kernel.call('typed', 'add', { a: 2, b: 3 })).toBe(5);
  });

  it('brings its npm dependencies along', async () => {
    const directory = write(
      'bundled',
      { functions: { shout: {} } },
      {
        'package.json': JSON.stringify({ name: 'bundled', type: 'module', dependencies: { 'tiny-shout': '1.0.0' } }),
        'index.mjs': `import { shout as loud } from 'tiny-shout';
import once from 'tiny-common';
export const shout = ({ text }) => loud(text) + once.mark;`,
        'node_modules/tiny-shout/package.json': JSON.stringify({
          name: 'tiny-shout',
          version: '1.0.0',
          type: 'module',
          exports: './main.js',
        }),
        'node_modules/tiny-shout/main.js': 'export const shout = (text) => text.toUpperCase();',
        'node_modules/tiny-common/package.json': JSON.stringify({
          name: 'tiny-common',
          version: '1.0.0',
          main: 'main.js',
        }),
        'node_modules/tiny-common/main.js': "module.exports = { mark: '!' };",
      },
    );
    expect((await json(['module', 'install', directory])).status).toBe(0);
    expect(await kernel.call('bundled', 'shout', { text: 'ada' })).toBe('ADA!');
  });

  it('says which package is missing', async () => {
    const directory = write('lacking', {}, { 'index.mjs': "import 'no-such-package-at-all';" });
    const { status, stdout } = await kernel.ctl(['module', 'install', directory, '--json']);
    expect(status).toBe(1);
    expect((JSON.parse(stdout) as Failure).error.message).toContain('no-such-package-at-all');
  });
});

describe('what is declared is what holds', () => {
  beforeAll(async () => {
    const schema = {
      type: 'object',
      additionalProperties: false,
      required: ['items'],
      properties: { items: { type: 'array', items: { type: 'integer', minimum: 1 } } },
    };
    await kernel.install({
      name: 'declared',
      code: `export const good = ({ items }) => ({ items });
export const bad = () => ({ items: [1, 'two'] });
export const none = () => {};
export const undeclared = () => 'never';
export const fail = () => { throw Object.assign(new Error('out of paper'), { code: 'E_PAPER', secret: 'hidden' }); };
export const odd = () => { throw 'only words'; };
export const circle = () => { const it = {}; it.it = it; return it; };`,
      functions: {
        good: { params: schema, result: schema },
        bad: { result: schema },
        none: {},
        fail: {},
        odd: {},
        circle: {},
      },
    });
  });

  it('accepts what fits', async () => {
    expect(await kernel.call('declared', 'good', { items: [1, 2] })).toEqual({ items: [1, 2] });
    expect(await kernel.call('declared', 'none')).toBeNull();
  });

  it('refuses parameters and results that do not fit, with a pointer to each', async () => {
    await expect(kernel.call('declared', 'good', { items: [1, 0, 'x'], more: 1 })).rejects.toMatchObject({
      code: 'INVALID_PARAMS',
      context: {
        issues: expect.arrayContaining([
          expect.objectContaining({ pointer: '/items/1' }),
          expect.objectContaining({ pointer: '/items/2' }),
        ]),
      },
    });
    await expect(kernel.call('declared', 'bad')).rejects.toMatchObject({
      code: 'RESULT_INVALID',
      context: { issues: [expect.objectContaining({ pointer: '/items/1' })] },
    });
    await expect(kernel.call('declared', 'circle')).rejects.toMatchObject({ code: 'RESULT_INVALID' });
    const { status, stdout, stderr } = await kernel.ctl(['module', 'call', 'declared', 'good', '{"items":[0]}']);
    expect(status).toBe(1);
    expect(stdout + stderr).toContain('/items/0');
  });

  it('knows only declared functions of installed modules', async () => {
    await expect(kernel.call('declared', 'undeclared')).rejects.toMatchObject({ code: 'FUNCTION_NOT_FOUND' });
    await expect(kernel.call('declared', 'constructor')).rejects.toMatchObject({ code: 'FUNCTION_NOT_FOUND' });
    await expect(kernel.call('nobody', 'good')).rejects.toMatchObject({ code: 'MODULE_NOT_FOUND' });
  });

  it('gives back a thrown error with its code and message, and never a stack', async () => {
    const failure = await kernel.call('declared', 'fail').catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'MODULE_ERROR', message: 'out of paper', context: { code: 'E_PAPER' } });
    await expect(kernel.call('declared', 'odd')).rejects.toMatchObject({ code: 'MODULE_ERROR', message: 'only words' });
    const { status, stdout, stderr } = await kernel.ctl(['module', 'call', 'declared', 'fail', '--json']);
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'MODULE_ERROR', message: 'out of paper' } });
    expect(stdout + stderr).not.toMatch(/index\.mjs|\bat |hidden/);
    // Its author finds the stack where the module's output is.
    await eventually('the stack is in the log of the module', async () =>
      (await kernel.ctl(['logs', 'declared'])).stdout.includes('index.mjs'),
    );
  });
});

describe('configuration values', () => {
  const schema = {
    type: 'object',
    additionalProperties: false,
    required: ['word'],
    properties: { word: { type: 'string' }, count: { type: 'integer', maximum: 5 } },
  };
  const code = `export const read = (_, ctx) => ctx.config;
export const change = (_, ctx) => { 'use strict'; try { ctx.config.word = 'other'; return 'changed'; } catch (error) { return error.name; } };`;

  it('reach the module as ctx.config, frozen', async () => {
    await kernel.install({
      name: 'configured',
      code,
      functions: { read: {}, change: {} },
      manifest: { config: schema },
    });
    expect(await kernel.call('configured', 'read')).toEqual({ word: 'hello', count: 3 });
    expect(await kernel.call('configured', 'change')).toBe('TypeError');
  });

  it('that do not fit are refused at install, naming each by a pointer', async () => {
    await expect(
      kernel.install({
        name: 'configured',
        code,
        functions: { read: {}, change: {} },
        manifest: {
          version: '1.1.0',
          config: { ...schema, properties: { ...schema.properties, count: { type: 'integer', maximum: 2 } } },
        },
      }),
    ).rejects.toThrow(/CONFIG_VALUES_INVALID.*\/count/s);
    await expect(
      kernel.install({ name: 'unconfigured', code, functions: { read: {}, change: {} }, manifest: { config: schema } }),
    ).rejects.toThrow(/CONFIG_VALUES_INVALID.*word/s);
    expect((await kernel.rpc('module.show', { module: 'configured' })).version).toBe('1.0.0');
    expect((await kernel.status()).modules.map(({ name }) => name)).not.toContain('unconfigured');
  });
});

describe('long-running modules', () => {
  it('start before the first call, run until the signal, and are told to stop', async () => {
    await kernel.install({
      name: 'ticker',
      code: `let ticks = 0; let started = false;
export async function start(ctx) {
  started = true;
  console.log('start began');
  while (!ctx.signal.aborted) { ticks += 1; await new Promise((resolve) => setTimeout(resolve, 10)); }
  console.log('start ended by its signal');
}
export async function stop() { console.log('stop was called'); }
export const ticks_ = () => ({ started, ticks });`,
      functions: { ticks_: {} },
    });
    expect(await kernel.call('ticker', 'ticks_')).toMatchObject({ started: true });
    const early = (await kernel.call('ticker', 'ticks_')) as { ticks: number };
    await eventually(
      'it goes on',
      async () => ((await kernel.call('ticker', 'ticks_')) as { ticks: number }).ticks > early.ticks + 3,
    );
    const pid = await kernel.instancePid('ticker');
    expect((await json(['module', 'restart', 'ticker'])).status).toBe(0);
    expect(await kernel.instancePid('ticker')).not.toBe(pid);
    const { value } = await json(['logs', 'ticker']);
    const texts = (value as { text: string }[]).map(({ text }) => text);
    expect(texts.slice(0, 3).toSorted()).toEqual(['start began', 'start ended by its signal', 'stop was called']);
    expect(texts[3]).toBe('start began');
  });

  it('are started again when start fails later on', async () => {
    await kernel.install({
      name: 'tired',
      code: `export async function start() { await new Promise((resolve) => setTimeout(resolve, 400)); throw new Error('tired of it'); }
export const hello = () => process.uptime();`,
      functions: { hello: {} },
    });
    const row = await eventually('it was restarted', async () =>
      (await rows('tired')).find(({ restarts }) => restarts >= 1),
    );
    expect(row.module).toBe('tired');
    const unit = await eventually('its exit is known', async () =>
      (await kernel.rpc('zone.inspect', { zone: 'sandbox' })).units.find(
        ({ module, lastExit }) => module === 'tired' && lastExit !== null,
      ),
    );
    expect(unit.lastExit).toMatchObject({ cause: 'exited', exitCode: 70 });
    expect((await kernel.ctl(['logs', 'tired'])).stdout).toContain('tired of it');
    await json(['module', 'rm', 'tired']);
  });

  it('that cannot even be imported are quarantined with the reason, and lifted by a good version', async () => {
    await kernel.install({ name: 'faulty', code: "throw new Error('no good at all');" });
    const row = await eventually('it is quarantined', async () =>
      (await kernel.status()).modules.find(({ name, phase }) => name === 'faulty' && phase === 'quarantined'),
    );
    expect(row.reason).toContain('no good at all');
    await expect(kernel.call('declared', 'none')).resolves.toBeNull();
    await kernel.install({
      name: 'faulty',
      code: 'export const ok = () => 1;',
      functions: { ok: {} },
      manifest: { version: '1.0.1' },
    });
    expect(await kernel.call('faulty', 'ok')).toBe(1);
  });
});

describe('changes of what runs', () => {
  it('spreads calls over all instances of a module', async () => {
    await kernel.install({
      name: 'spread',
      manifest: { instances: 3 },
      functions: { who: {} },
      code: `import { randomUUID } from 'node:crypto';
const id = randomUUID();
export const who = async () => { await new Promise((resolve) => setTimeout(resolve, 30)); return id; };`,
    });
    await ready('spread', 3);
    const answers = (await Promise.all(Array.from({ length: 30 }, () => kernel.call('spread', 'who')))) as string[];
    const counts = Object.values(Object.groupBy(answers, (id) => id)).map((list) => list!.length);
    expect(counts).toHaveLength(3);
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(5);
  });

  it('replaces the instances by those of a new version, and makes fewer when fewer are wanted', async () => {
    const before = (await ready('spread', 3)).map(({ pid }) => pid);
    await kernel.install({
      name: 'spread',
      manifest: { instances: 1, version: '2.0.0' },
      functions: { who: {} },
      code: "export const who = () => 'two';",
    });
    expect(await kernel.call('spread', 'who')).toBe('two');
    const after = await ready('spread', 1);
    expect(before).not.toContain(after[0]!.pid);
    expect((await kernel.status()).modules.find(({ name }) => name === 'spread')).toMatchObject({
      slots: { active: { version: '2.0.0' } },
    });
  });

  it('moves a module to another zone, leaving nothing in the old one', async () => {
    expect((await rows('spread')).map(({ zone }) => zone)).toEqual(['sandbox']);
    const directory = write(
      'spread',
      { version: '2.0.1', functions: { who: {} } },
      { 'index.mjs': "export const who = () => 'moved';" },
    );
    expect((await json(['module', 'install', directory, '--zone', 'stable'])).value).toMatchObject({ zone: 'stable' });
    expect(await kernel.call('spread', 'who')).toBe('moved');
    await eventually('only the stable zone has it', async () => {
      const found = await rows('spread');
      return found.length === 1 && found[0]!.zone === 'stable' && found[0]!.state === 'ready';
    });
    const back = await json(['module', 'install', directory, '--zone', 'sandbox']);
    expect(back.value).toMatchObject({ zone: 'sandbox' });
    expect(await kernel.call('spread', 'who')).toBe('moved');
    await eventually(
      'only the sandbox has it',
      async () => (await rows('spread')).map(({ zone }) => zone).join() === 'sandbox',
    );
  });

  it('replaces the instance at module restart', async () => {
    const pid = await kernel.instancePid('declared');
    expect(await json(['module', 'restart', 'declared'])).toMatchObject({
      status: 0,
      value: { name: 'declared', phase: 'running' },
    });
    expect(await kernel.instancePid('declared')).not.toBe(pid);
    expect(await kernel.call('declared', 'none')).toBeNull();
  });

  it('removes a module without a trace: container, directory, record, files, output', async () => {
    await kernel.install({
      name: 'fleeting',
      code: "console.log('was here'); export const f = () => 1;",
      functions: { f: {} },
      manifest: { instances: 2 },
    });
    await ready('fleeting', 2);
    await eventually('its output is on disk', () => existsSync(join(kernel.home, 'state/logs/modules/fleeting')));
    const before = await kernel.snapshot();
    expect(await json(['module', 'rm', 'fleeting'])).toMatchObject({ status: 0, value: { removed: true } });
    const after = await kernel.snapshot();
    expect(before.containers - after.containers).toBe(2);
    expect(before.directories - after.directories).toBe(2);
    expect(before.records - after.records).toBe(2);
    expect(existsSync(join(kernel.home, 'state/logs/modules/fleeting'))).toBe(false);
    expect(existsSync(join(kernel.home, 'state/modules/fleeting'))).toBe(false);
    await expect(kernel.call('fleeting', 'f')).rejects.toMatchObject({ code: 'MODULE_NOT_FOUND' });
    expect((await kernel.ctl(['module', 'rm', 'fleeting'])).status).toBe(1);
    expect((await kernel.ctl(['logs', 'fleeting'])).status).toBe(1);
    const names = (await containersOf(kernel.homeId(), ENGINE_HOST)).map(({ State }) => State);
    expect(new Set(names)).toEqual(new Set(['running']));
  });

  it('keeps all of it over a restart of the kernel', async () => {
    const modules = (await kernel.status()).modules.map(({ name, zone, slots }) => ({ name, zone, slots }));
    expect(await kernel.terminate()).toBe(0);
    await kernel.start();
    expect((await kernel.status()).modules.map(({ name, zone, slots }) => ({ name, zone, slots }))).toEqual(modules);
    expect(await kernel.call('my-first', 'hello', { name: 'Bob' })).toEqual({ greeting: 'Hello, Bob' });
  });
});
