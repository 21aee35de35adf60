/** kernel.yaml as an operator edits it while the kernel runs: what a reload says is what a reload does. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  ENGINE_HOST,
  PROJECT,
  containersOf,
  engineApi,
  eventually,
  fastConfig,
  startKernel,
  type KernelUnderTest,
} from '../support/kernel.ts';

const MIB = 1024 * 1024;
const GREETED = 'modules:\n  greeted: { config: { word: first } }\n';
const CONFIG = fastConfig(GREETED);

let kernel: KernelUnderTest;
const install = () =>
  kernel.install({
    name: 'greeted',
    code: `export const word = (_, ctx) => ctx.config.word ?? null;
export const slow = async () => { await new Promise((resolve) => setTimeout(resolve, 700)); return 'slow'; };
export const flood = ({ lines }) => { for (let n = 0; n < lines; n += 1) console.log('x'.repeat(900)); };`,
    functions: { word: {}, slow: {}, flood: {} },
    manifest: { config: { type: 'object', additionalProperties: false, properties: { word: { type: 'string' } } } },
  });
beforeAll(async () => {
  kernel = await startKernel({ config: CONFIG });
  await install();
});
afterAll(async () => {
  await kernel?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  kernel.writeConfig(CONFIG);
  await kernel.rpc('config.reload', {});
});

type Change = { key: string; before: string; after: string; effect: string; applied: boolean };
/** Reloads another file and gives what was said of each key. */
const reload = async (from: string | RegExp, to: string): Promise<Change[]> => {
  const text = CONFIG.replace(from, to);
  expect(text).not.toBe(CONFIG);
  kernel.writeConfig(text);
  const { status, stdout } = await kernel.ctl(['config', 'reload', '--json']);
  expect(status, stdout).toBe(0);
  return (JSON.parse(stdout) as { changes: Change[] }).changes;
};
const said = (changes: readonly Change[]): unknown[] =>
  changes.map(({ key, effect, applied }) => [key, effect, applied]);
const shown = async (key: string): Promise<string | undefined> =>
  (await kernel.rpc('config.show', {})).values.find((row) => row.key === key)?.value;
/** What the engine says of the container that runs a module. */
const memoryOf = async (module: string): Promise<number> => {
  const { units, instances } = await kernel.rpc('zone.inspect', { zone: 'sandbox' });
  expect(units.length).toBeGreaterThan(0);
  const container = instances.find((row) => row.module === module)?.container;
  const facts = await engineApi<{ HostConfig: { Memory: number } }>(
    'GET',
    `/containers/${container}/json`,
    ENGINE_HOST,
  );
  return facts.HostConfig.Memory;
};
const events = async (kind: string) => {
  await using client = await kernel.client();
  const found = [];
  for await (const event of client.stream('event.follow', { follow: false, limit: 10_000 }))
    if (event.kind === kind) found.push(event);
  return found;
};

describe('config check and show', () => {
  it('check says what would change and changes nothing', async () => {
    kernel.writeConfig(CONFIG.replace('initial: 50ms', 'initial: 70ms'));
    const { status, stdout } = await kernel.ctl(['config', 'check', '--json']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      changes: [{ key: 'restart.backoff.initial', before: '50ms', after: '70ms', effect: 'live', applied: false }],
    });
    expect(await shown('restart.backoff.initial')).toBe('50ms');
  });

  it('show names each value and the line it comes from', async () => {
    const { stdout } = await kernel.ctl(['config', 'show', '--json']);
    const { values } = JSON.parse(stdout) as { values: { key: string; value: string; from: string }[] };
    const line = CONFIG.split('\n').findIndex((text) => text.includes('stableAfter')) + 1;
    expect(values.find(({ key }) => key === 'restart.stableAfter')).toMatchObject({
      value: '2s',
      from: expect.stringContaining(`:${line}`),
    });
    expect(values.find(({ key }) => key === 'bus.queueLength')).toMatchObject({ value: '1000', from: 'default' });
  });

  it('check tells every mistake at once with line, column and what was meant, and exits with 1', async () => {
    kernel.writeConfig(
      CONFIG.replace('drainTimeout: 3s', 'drainTimout: 3s')
        .replace('initial: 50ms', 'initial: 50')
        .replace('pool: { memory: 3GiB', 'pool: { memory: 1GiB'),
    );
    const { status, stdout } = await kernel.ctl(['config', 'check', '--json']);
    expect(status).toBe(1);
    const { ok, issues } = JSON.parse(stdout) as {
      ok: boolean;
      issues: { line: number; column: number; path: string; suggestion?: string }[];
    };
    expect(ok).toBe(false);
    expect(issues.length).toBeGreaterThanOrEqual(3);
    expect(issues.find(({ suggestion }) => suggestion === 'drainTimeout')).toMatchObject({ line: 8, column: 3 });
    const human = await kernel.ctl(['config', 'check']);
    expect(human.stdout).toMatch(/kernel\.yaml:8:3/);
    expect(human.stdout).toContain('drainTimeout');
  });
});

describe('a reload', () => {
  it('that changes nothing says so', async () => {
    const { status, stdout } = await kernel.ctl(['config', 'reload']);
    expect(status).toBe(0);
    expect(stdout).toContain('no changes');
  });

  it('applies a live key at once: the back-off of the next restart', async () => {
    // The second failure in a row waits: 20 s, where it waited 50 ms.
    const slower = /backoff: \{ initial: 50ms, max: 500ms(.*\n.*\n.*)window: 30s/;
    expect(said(await reload(slower, 'backoff: { initial: 20s, max: 20s$1window: 5m'))).toEqual([
      ['restart.backoff.initial', 'live', true],
      ['restart.backoff.max', 'live', true],
      ['restart.intensity.window', 'live', true],
    ]);
    const first = await kernel.instancePid('greeted');
    process.kill(first, 'SIGKILL');
    const second = await eventually('the first restart is at once', async () => {
      const pid = await kernel.instancePid('greeted');
      return pid === first ? null : pid;
    });
    process.kill(second, 'SIGKILL');
    const unit = await eventually('the unit waits', async () => {
      const { units } = await kernel.rpc('zone.inspect', { zone: 'sandbox' });
      return units.find((row) => row.module === 'greeted' && row.state === 'backoff');
    });
    expect(unit.nextStartInMs).toBeGreaterThan(10_000);
    await kernel.rpc('module.restart', { module: 'greeted' });
    expect(await kernel.call('greeted', 'word')).toBe('first');
  });

  it('applies other live keys at once: call timeout, log level, output', async () => {
    expect(
      said(
        await reload(
          /^instances:$/m,
          'logs: { level: debug, module: { bytesPerSecond: 1MiB } }\ninstances:\n  callTimeout: 300ms',
        ),
      ),
    ).toEqual([
      ['instances.callTimeout', 'live', true],
      ['logs.level', 'live', true],
      ['logs.module.bytesPerSecond', 'live', true],
    ]);
    await expect(kernel.call('greeted', 'slow')).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    await kernel.rpc('module.restart', { module: 'greeted' });
    await eventually('debug lines are written', () =>
      readFileSync(join(kernel.home, 'state/logs/kernel.log'), 'utf8').includes('"level":"debug"'),
    );
    kernel.writeConfig(CONFIG);
    await kernel.rpc('config.reload', {});
    expect(await kernel.call('greeted', 'slow')).toBe('slow');
  });

  it('gives out credit for output at the new rate, to instances that run already', async () => {
    await reload(/^instances:$/m, 'logs: { module: { bytesPerSecond: 1KiB } }\ninstances:');
    const pid = await kernel.instancePid('greeted');
    const count = async () =>
      (JSON.parse((await kernel.ctl(['logs', 'greeted', '-n', '10000', '--json'])).stdout) as unknown[]).length;
    const before = await count();
    await kernel.call('greeted', 'flood', { lines: 300 });
    // Twice the window of 64 KiB goes at once, then a line a second.
    await eventually('the window is used up', async () => (await count()) - before >= 120);
    expect((await count()) - before).toBeLessThan(140);
    await reload(/^instances:$/m, 'logs: { module: { bytesPerSecond: 10MiB } }\ninstances:');
    // It would take minutes at the old rate.
    await eventually('the rest comes at the new rate', async () => (await count()) - before >= 300, 8_000);
    expect(await kernel.instancePid('greeted')).toBe(pid);
  });

  it('says that limits of instances need new instances, and those have them', async () => {
    expect(await memoryOf('greeted')).toBe(64 * MIB);
    const changes = await reload(/(sandbox: .*instance: \{ memory: )64MiB/, '$1128MiB');
    expect(said(changes)).toEqual([['zones.sandbox.instance.memory', 'instances', false]]);
    expect(await memoryOf('greeted')).toBe(64 * MIB);
    expect((await kernel.ctl(['zone', 'restart', 'sandbox'])).status).toBe(0);
    expect(await memoryOf('greeted')).toBe(128 * MIB);
    expect(await kernel.call('greeted', 'word')).toBe('first');
    kernel.writeConfig(CONFIG);
    await kernel.rpc('config.reload', {});
    // Replacing the one module does as well.
    await kernel.rpc('module.restart', { module: 'greeted' });
    expect(await memoryOf('greeted')).toBe(64 * MIB);
  });

  it('keeps the values of running modules until they are replaced', async () => {
    const pid = await kernel.instancePid('greeted');
    expect(said(await reload('word: first', 'word: second'))).toEqual([['modules.greeted.config', 'instances', false]]);
    expect(await kernel.call('greeted', 'word')).toBe('first');
    expect(await kernel.instancePid('greeted')).toBe(pid);
    await kernel.rpc('module.restart', { module: 'greeted' });
    expect(await kernel.call('greeted', 'word')).toBe('second');
    kernel.writeConfig(CONFIG);
    await kernel.rpc('config.reload', {});
    // Replaced for any other reason does as well.
    process.kill(await kernel.instancePid('greeted'), 'SIGKILL');
    await eventually(
      'the values came with the next instance',
      async () => (await kernel.call('greeted', 'word')) === 'first',
    );
  });

  it('says that a key needs a restart, keeps the old value until then, and has the new one after it', async () => {
    const changes = await reload(/^instances:$/m, 'control: { group: nogroup }\ninstances:');
    expect(said(changes)).toEqual([['control.group', 'restart', false]]);
    const human = await kernel.ctl(['config', 'check']);
    expect(human.stdout).toMatch(/control\.group.*restart/);
    expect(await shown('control.group')).not.toBe('nogroup');
  });

  it('by SIGHUP does and tells the same', async () => {
    kernel.writeConfig(CONFIG.replace('initial: 50ms', 'initial: 60ms'));
    const before = (await events('config.reloaded')).length;
    process.kill(kernel.pid(), 'SIGHUP');
    const told = await eventually('it is told', async () => (await events('config.reloaded'))[before]);
    expect(told.reason).toMatch(/1 key.*1 applied live/);
    expect(await shown('restart.backoff.initial')).toBe('60ms');
    expect(kernel.output()).toContain('restart.backoff.initial');
  });
});

describe('a file that is not valid', () => {
  const file = () => join(kernel.home, 'kernel.yaml');
  it.each([
    ['broken', (text: string) => text.replace('restart:', 'restart:\n  - [unclosed'), /:\d+:\d+/],
    ['half written', (text: string) => text.slice(0, text.indexOf('window: 30s') + 5), /:\d+:\d+/],
    ['empty', () => '', /./],
    ['with a wrong unit', (text: string) => text.replace('initial: 50ms', 'initial: 50 parsecs'), /:1\d:\d+/],
  ])('%s is refused with its place, and the old configuration holds', async (_, damage, place) => {
    const before = (await kernel.rpc('config.show', {})).values;
    writeFileSync(file(), damage(CONFIG));
    const { status, stdout, stderr } = await kernel.ctl(['config', 'reload']);
    expect(status).toBe(1);
    expect(stdout + stderr).toMatch(place);
    expect(stdout + stderr).toContain('CONFIG_INVALID');
    expect((await kernel.rpc('config.show', {})).values).toEqual(before);
    expect(await kernel.call('greeted', 'word')).toBe('first');
    const refused = (await events('config.refused')).length;
    process.kill(kernel.pid(), 'SIGHUP');
    await eventually('SIGHUP is refused as well', async () => (await events('config.refused')).length > refused);
    expect((await kernel.status()).mode).toBe('running');
  });

  it('that is gone gives way to the shipped one, and takes effect again when it is back', async () => {
    rmSync(file());
    const shipped = join(PROJECT, 'config/kernel.yaml');
    expect((await kernel.rpc('config.check', {})).file).toBe(shipped);
    expect((await kernel.rpc('config.show', {})).file).toBe(file());
    const { status, stdout } = await kernel.ctl(['config', 'reload', '--json']);
    expect(status, stdout).toBe(0);
    expect((JSON.parse(stdout) as { file: string }).file).toBe(shipped);
    expect((await kernel.rpc('config.show', {})).file).toBe(shipped);
    expect(await shown('restart.backoff.initial')).toBe('100ms');
    kernel.writeConfig(CONFIG);
    expect((await kernel.rpc('config.reload', {})).file).toBe(file());
    expect(await shown('restart.backoff.initial')).toBe('50ms');
    expect(await kernel.call('greeted', 'word')).toBe('first');
  });

  it('whose values do not fit an installed module is refused, naming each by a pointer', async () => {
    writeFileSync(file(), CONFIG.replace('word: first', 'word: 7').replace('initial: 50ms', 'initial: 80ms'));
    const { status, stdout } = await kernel.ctl(['config', 'reload', '--json']);
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      error: {
        code: 'CONFIG_VALUES_INVALID',
        message: expect.stringContaining('/word'),
        details: { issues: [{ pointer: '/word' }] },
      },
    });
    expect(await shown('restart.backoff.initial')).toBe('50ms');
    expect(await kernel.call('greeted', 'word')).toBe('first');
  });

  it('at boot ends the kernel with 1, every mistake named; with values that do not fit only that module waits', async () => {
    expect(await kernel.terminate()).toBe(0);
    kernel.writeConfig(CONFIG.replace('drainTimeout: 3s', 'drainTimout: 3s').replace('initial: 50ms', 'initial: 50'));
    await kernel.start({ awaitUp: false });
    expect(await kernel.exited()).toBe(1);
    const told = kernel.output().slice(-6_000);
    expect(told).toContain('kernel.yaml:8:3');
    expect(told).toContain('drainTimeout');
    expect(told).toContain('restart.backoff.initial');
    expect(await containersOf(kernel.homeId(), ENGINE_HOST)).toEqual([]);

    kernel.writeConfig(CONFIG.replace('word: first', 'word: 7'));
    await kernel.start();
    expect((await kernel.status()).modules.find(({ name }) => name === 'greeted')).toMatchObject({
      phase: 'broken',
      reason: expect.stringContaining('/word'),
    });
    await expect(kernel.call('greeted', 'word')).rejects.toMatchObject({
      code: 'MODULE_UNAVAILABLE',
      message: expect.stringContaining('/word'),
    });
    kernel.writeConfig(CONFIG);
    expect((await kernel.ctl(['config', 'reload'])).status).toBe(0);
    expect(await kernel.call('greeted', 'word')).toBe('first');
  });
});
