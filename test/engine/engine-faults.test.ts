/** The engine dies, hangs, is absent: the kernel says so, keeps answering, and recovers when it returns. */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { containersOf, eventually, fastConfig, startKernel, type KernelUnderTest } from '../support/kernel.ts';
import { startPrivateEngine, type PrivateEngine } from '../support/private-engine.ts';
import { counterModule, crash } from '../support/probe-module.ts';
import { expectSame, restingSnapshot } from '../support/same-as-before.ts';

/** Two pings in a row that fail: 2 x (interval + limit), and a second for a busy machine. */
const NOTICED_WITHIN_MS = 2 * (500 + 1_000) + 1_000;
const config = fastConfig('engine: { pingInterval: 500ms, timeout: 4s }\n');

const rows = async (kernel: KernelUnderTest) => (await kernel.status()).zones.flatMap(({ instances }) => instances);
const identities = async (kernel: KernelUnderTest): Promise<string[]> =>
  (await rows(kernel))
    .map(({ module, id, pid, restarts, state }) => `${module} ${id} ${pid} ${restarts} ${state}`)
    .sort();

const noticed = (kernel: KernelUnderTest, timeoutMs: number): Promise<boolean> =>
  eventually(
    'the kernel says that the engine is away',
    async () => {
      const { mode, reason, engine } = await kernel.status();
      return engine.state === 'unreachable' && mode === 'degraded' && reason?.includes('engine') === true;
    },
    timeoutMs,
  );

const recovered = (kernel: KernelUnderTest): Promise<boolean> =>
  eventually(
    'the fault is cleared',
    async () => {
      const { mode, reason, engine, zones } = await kernel.status();
      return (
        engine.state === 'reachable' &&
        mode === 'running' &&
        reason === null &&
        zones.every(({ state }) => state === 'ready')
      );
    },
    30_000,
  );

const doctor = async (kernel: KernelUnderTest) => {
  const { status, stdout } = await kernel.ctl(['doctor', '--json'], { timeoutMs: 20_000 });
  return {
    status,
    checks: (
      JSON.parse(stdout) as { checks: { name: string; status: string; observed: string; remedy: string | null }[] }
    ).checks,
  };
};

/** What must hold while the engine is away: everything that needs only the instances and the kernel's own state. */
const answersWithoutEngine = async (kernel: KernelUnderTest, calls: number): Promise<void> => {
  const beganMs = performance.now();
  await kernel.status();
  expect(await kernel.call('one', 'count', {}, 2_000)).toBe(calls);
  expect(await kernel.call('two', 'count', {}, 2_000)).toBe(calls);
  expect(performance.now() - beganMs, 'none of this asks the engine').toBeLessThan(1_000);
  const human = await kernel.ctl(['status']);
  expect(human.stdout).toMatch(/degraded/);
  expect(human.stdout).toMatch(/unreachable|engine/);
  const examined = await doctor(kernel);
  expect(examined.status).toBe(1);
  const engine = examined.checks.find(({ name }) => name === 'engine');
  expect(engine).toMatchObject({ status: 'failed' });
  expect(engine?.remedy).toBeTruthy();
};

const eventKinds = async (kernel: KernelUnderTest): Promise<string[]> =>
  [...(await kernel.ctl(['events', '--json'])).stdout.matchAll(/"kind": ?"([a-z.]+)"/g)].map((match) => match[1]!);

describe('an engine with live-restore', () => {
  let engine: PrivateEngine;
  beforeAll(async () => {
    engine = await startPrivateEngine({ liveRestore: true });
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    expect(existsSync(engine.directory)).toBe(false);
  });

  // A test that failed may have left it killed or stopped.
  beforeEach(async () => {
    if (!engine.running()) await engine.start();
    engine.signal('SIGCONT');
  });

  const withTwoModules = async (more = ''): Promise<KernelUnderTest> => {
    const kernel = await startKernel({ config: `${config}${more}`, host: engine.host });
    await kernel.install(counterModule('one', { zone: 'stable' }));
    await kernel.install(counterModule('two', { zone: 'sandbox' }));
    return kernel;
  };

  it('is killed and started again: instances live on, the kernel says so and recovers, nothing is restarted', async () => {
    await using kernel = await withTwoModules();
    await answered(kernel, 1);
    const before = await identities(kernel);
    const snapshot = await restingSnapshot(kernel);
    await engine.kill9();
    await noticed(kernel, 3_000);
    await answersWithoutEngine(kernel, 2);
    const inspected = await kernel.rpc('zone.inspect', { zone: 'stable' });
    expect(inspected).toMatchObject({ state: 'degraded' });
    expect(inspected.reason).toMatch(/engine/);
    await engine.start();
    await recovered(kernel);
    await answered(kernel, 3);
    expect(await identities(kernel)).toEqual(before);
    expect(await eventKinds(kernel)).toEqual(
      expect.arrayContaining(['engine.unreachable', 'engine.reachable', 'kernel.degraded', 'kernel.running']),
    );
    await expectSame(kernel, snapshot);
    // The event stream is a new one: a death is noticed as before.
    await crash(kernel, 'one');
    expect(await kernel.call('one', 'count')).toBe(1);
    await expectSame(kernel, snapshot);
    expect((await doctor(kernel)).checks.find(({ name }) => name === 'engine')).toMatchObject({ status: 'ok' });
  });

  it('is away while an instance dies: that one is replaced when it returns, and no other', async () => {
    await using kernel = await withTwoModules();
    await answered(kernel, 1);
    const survivor = await kernel.instancePid('one');
    const victim = await kernel.instancePid('two');
    const snapshot = await restingSnapshot(kernel);
    await engine.kill9();
    await noticed(kernel, 3_000);
    process.kill(victim, 'SIGKILL');
    await eventually('the loss is known', async () =>
      (await rows(kernel)).every(({ module, state }) => module !== 'two' || state !== 'ready'),
    );
    expect(await kernel.call('one', 'count', {}, 2_000)).toBe(2);
    // A call for the lost one waits its time, and is told why.
    await expect(kernel.call('two', 'count', {}, 700)).rejects.toMatchObject({ code: 'MODULE_UNAVAILABLE' });
    await engine.start();
    await recovered(kernel);
    expect(await kernel.instancePid('two')).not.toBe(victim);
    expect(await kernel.call('two', 'count')).toBe(1);
    expect(await kernel.instancePid('one')).toBe(survivor);
    expect((await rows(kernel)).find(({ module }) => module === 'two')?.restarts).toBe(1);
    await expectSame(kernel, snapshot);
  });

  it('hangs: the kernel says so within its pings, keeps answering, and recovers', async () => {
    await using kernel = await withTwoModules();
    await answered(kernel, 1);
    const before = await identities(kernel);
    const snapshot = await restingSnapshot(kernel);
    engine.signal('SIGSTOP');
    const beganMs = performance.now();
    try {
      await noticed(kernel, NOTICED_WITHIN_MS);
      console.log(`a hanging engine was noticed after ${Math.round(performance.now() - beganMs)} ms`);
      await answersWithoutEngine(kernel, 2);
    } finally {
      engine.signal('SIGCONT');
    }
    await recovered(kernel);
    await answered(kernel, 3);
    expect(await identities(kernel)).toEqual(before);
    await expectSame(kernel, snapshot);
  });

  it('hangs while the kernel is asked to stop: it ends in bounded time, and what runs is cleared by the next', async () => {
    await using kernel = await withTwoModules('lifecycle: { componentTimeout: 10s, drainTimeout: 3s }\n');
    engine.signal('SIGSTOP');
    const beganMs = performance.now();
    try {
      await kernel.terminate();
      expect(performance.now() - beganMs).toBeLessThan(10_000 + 3_000 + 5_000);
    } finally {
      engine.signal('SIGCONT');
    }
    await kernel.start();
    await recovered(kernel);
    expect(await kernel.call('one', 'count')).toBe(1);
    await eventually(
      'only what is wanted is there',
      async () => (await containersOf(kernel.homeId(), engine.host)).length === 2,
    );
  });

  it('is absent when the kernel starts: it answers with reason and remedy, and becomes ready by itself', async () => {
    await using kernel = await withTwoModules();
    const before = await identities(kernel);
    await kernel.kill9();
    await engine.kill9();
    await kernel.start();
    const { mode, reason, zones } = await kernel.status();
    expect(mode).toBe('degraded');
    expect(reason).toMatch(/ENGINE_UNREACHABLE/);
    for (const zone of zones)
      expect(zone).toMatchObject({ state: 'failed', reason: expect.stringContaining('ENGINE_UNREACHABLE') });
    const shown = await kernel.ctl(['status']);
    expect(shown).toMatchObject({ status: 0 });
    expect(shown.stdout).toMatch(/doctor|scripts\/engine/);
    const examined = await doctor(kernel);
    expect(examined.checks.find(({ name }) => name === 'engine')).toMatchObject({
      status: 'failed',
      remedy: expect.stringContaining('scripts/engine start'),
    });
    await expect(kernel.call('one', 'count', {}, 500)).rejects.toMatchObject({ code: 'MODULE_UNAVAILABLE' });
    await engine.start();
    await recovered(kernel);
    await kernel.instancePid('one');
    await kernel.instancePid('two');
    expect(await identities(kernel), 'what ran all the time is adopted').toEqual(before);
  });
});

describe('an engine without live-restore', () => {
  it('is killed and started again: everything is made anew, and doctor says why', async () => {
    await using engine = await startPrivateEngine({ liveRestore: false });
    await using kernel = await startKernel({ config, host: engine.host });
    await kernel.install(counterModule('one', { zone: 'stable' }));
    await kernel.install(counterModule('two', { zone: 'sandbox' }));
    await answered(kernel, 1);
    const examined = await doctor(kernel);
    expect(examined.checks.find(({ name }) => name === 'live-restore')).toMatchObject({
      status: 'warning',
      remedy: expect.stringContaining('live-restore'),
    });
    const pids = [await kernel.instancePid('one'), await kernel.instancePid('two')];
    const snapshot = await restingSnapshot(kernel);
    await engine.kill9();
    await noticed(kernel, 3_000);
    await engine.start();
    await recovered(kernel);
    await eventually(
      'both were made anew',
      async () => !pids.includes(await kernel.instancePid('one')) && !pids.includes(await kernel.instancePid('two')),
    );
    await answered(kernel, 1);
    for (const pid of pids) expect(existsSync(`/proc/${pid}`)).toBe(false);
    await expectSame(kernel, snapshot);
  });
});

/** Both modules answer, each for the nth time since its process began. */
async function answered(kernel: KernelUnderTest, nth: number): Promise<void> {
  expect([await kernel.call('one', 'count'), await kernel.call('two', 'count')]).toEqual([nth, nth]);
}
