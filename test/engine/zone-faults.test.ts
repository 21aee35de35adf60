/** Zones whose engine fails them half-way, zones that are disabled, and modules that fail in several places at once. */
import { describe, expect, it } from 'vitest';
import { startEngineProxy } from '../support/engine-proxy.ts';
import {
  containersOf,
  ENGINE_HOST,
  eventually,
  fastConfig,
  startKernel,
  type KernelUnderTest,
} from '../support/kernel.ts';

const steady = { name: 'steady', code: 'export const f = () => 1;', functions: { f: {} } };
const zoneState = async (kernel: KernelUnderTest, name: string): Promise<string | undefined> =>
  (await kernel.status()).zones.find((zone) => zone.name === name)?.state;
const phaseOf = async (kernel: KernelUnderTest, name: string): Promise<string | undefined> =>
  (await kernel.status()).modules.find((module) => module.name === name)?.phase;
const containersIn = async (kernel: KernelUnderTest, zone: string): Promise<number> =>
  (await containersOf(kernel.homeId(), ENGINE_HOST)).filter(({ Labels }) => Labels['kerneld.zone'] === zone).length;

describe('a zone that failed after it had adopted', () => {
  it('is really stopped when it is asked to stop, and by the end of the kernel', async () => {
    await using proxy = await startEngineProxy();
    await using kernel = await startKernel({ host: proxy.host });
    await kernel.install({ ...steady, zone: 'stable' });
    await kernel.install({ ...steady, name: 'other' });
    await kernel.kill9();
    proxy.setMode('refuseCreate');
    await kernel.start();
    expect(await zoneState(kernel, 'sandbox')).toBe('failed');
    expect((await kernel.status()).zones[1]?.reason).toContain('no space left on device');
    expect(await kernel.call('other', 'f')).toBe(1);

    expect((await kernel.ctl(['zone', 'stop', 'sandbox'])).status).toBe(0);
    expect(await containersIn(kernel, 'sandbox')).toBe(0);
    await expect(kernel.call('other', 'f')).rejects.toMatchObject({ code: 'MODULE_UNAVAILABLE' });
    expect(await kernel.call('steady', 'f')).toBe(1);

    expect(await zoneState(kernel, 'stable')).toBe('failed');
    expect(await kernel.terminate()).toBe(0);
    expect(await containersOf(kernel.homeId(), ENGINE_HOST)).toEqual([]);
  });
});

describe('an engine that hangs while an instance is replaced', () => {
  it('costs its module no quarantine', async () => {
    await using proxy = await startEngineProxy();
    await using kernel = await startKernel({
      host: proxy.host,
      config: fastConfig('engine: { pingInterval: 500ms, timeout: 2s }\n')
        .replace('instances:', 'instances:\n  startTimeout: 1s')
        .replace('restarts: 5', 'restarts: 1'),
    });
    await kernel.install(steady);
    const pid = await kernel.instancePid('steady');
    proxy.setMode('hang');
    process.kill(pid, 'SIGKILL');
    await eventually(
      'the kernel says that the engine is away',
      async () => (await kernel.status()).engine.state === 'unreachable',
    );
    // Longer than three starts may take: each would have counted.
    const untilMs = performance.now() + 4_000;
    await eventually('the time is over', async () => {
      expect(await phaseOf(kernel, 'steady')).not.toBe('quarantined');
      return performance.now() > untilMs;
    });
    proxy.setMode('pass');
    await eventually('it runs again', async () => (await phaseOf(kernel, 'steady')) === 'running', 60_000);
    expect(await kernel.call('steady', 'f')).toBe(1);
  });
});

describe('a zone that kernel.yaml disables', () => {
  it('has nothing running in it, also what an earlier kernel left', async () => {
    await using kernel = await startKernel();
    await kernel.install(steady);
    await kernel.install({ ...steady, name: 'other', zone: 'stable' });
    const other = await kernel.instancePid('other');
    await kernel.kill9();
    kernel.writeConfig(fastConfig().replace('sandbox: {', 'sandbox: { enabled: false,'));
    await kernel.start();
    await eventually('the sandbox is empty', async () => (await containersIn(kernel, 'sandbox')) === 0);
    expect(await kernel.instancePid('other')).toBe(other);
    const { mode, zones } = await kernel.status();
    expect(mode).toBe('running');
    expect(zones[1]).toMatchObject({ state: 'stopped', reason: 'disabled in kernel.yaml' });
    await eventually('its directory is gone too', async () => (await kernel.snapshot()).directories === 1);
  });
});

describe('a module that fails in all of its places', () => {
  it('is quarantined by the deaths of all together, with the cause that the engine saw', async () => {
    await using kernel = await startKernel();
    await kernel.install({
      name: 'fragile',
      code: 'export const die = () => process.exit(3); export const f = () => 1;',
      functions: { die: {}, f: {} },
      manifest: { instances: 3 },
    });
    let deaths = 0;
    for (; deaths < 30 && (await phaseOf(kernel, 'fragile')) !== 'quarantined'; deaths += 1) {
      await kernel.call('fragile', 'die', {}, 10_000).catch(() => undefined);
    }
    // Five are allowed; each of the three places ends with its first death after those.
    expect(deaths).toBeLessThanOrEqual(5 + 3 + 1);
    await eventually('the reason names the exit', async () =>
      (await kernel.status()).modules.find(({ name }) => name === 'fragile')?.reason?.includes('exited'),
    );
  });
});
