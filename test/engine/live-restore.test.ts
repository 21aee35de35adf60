/** Killing the kernel stops no user code; what it finds on its return is adopted, replaced or swept, each for a reason. */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { toKernelError } from '../../Kernel/contract/errors.ts';
import {
  containersOf,
  ENGINE_HOST,
  engineApi,
  eventually,
  fastConfig,
  run,
  startKernel,
  type ContainerRow,
  type KernelUnderTest,
} from '../support/kernel.ts';
import { counterModule, crash } from '../support/probe-module.ts';
import { expectSame, restingSnapshot } from '../support/same-as-before.ts';

const rows = async (kernel: KernelUnderTest) =>
  (await kernel.status()).zones.flatMap((zone) => zone.instances.map((row) => ({ zone: zone.name, ...row })));

/** Instances as they must be found again: same container, same process, same count of restarts. */
const identities = async (kernel: KernelUnderTest): Promise<string[]> =>
  (await rows(kernel))
    .map(({ zone, module, id, pid, restarts, state }) => `${zone} ${module} ${id} ${pid} ${restarts} ${state}`)
    .sort();

const codeOf = (thrown: unknown): string => toKernelError(thrown).code;

const running = (pid: number): boolean => existsSync(`/proc/${pid}`);

const settled = (kernel: KernelUnderTest, wanted: number): Promise<true> =>
  eventually(
    `both zones are ready with ${wanted} instances and nothing else`,
    async () => {
      const { mode, zones } = await kernel.status();
      expect(mode).toBe('running');
      expect(zones.map(({ state }) => state)).toEqual(['ready', 'ready']);
      expect((await rows(kernel)).map(({ state }) => state)).toEqual(Array.from({ length: wanted }, () => 'ready'));
      expect((await containersOf(kernel.homeId())).map(({ State }) => State)).toEqual(
        Array.from({ length: wanted }, () => 'running'),
      );
      expect(await kernel.snapshot()).toMatchObject({
        containers: wanted,
        directories: wanted,
        records: wanted,
        mounts: 0,
      });
      return true as const;
    },
    20_000,
  );

const recordFile = (kernel: KernelUnderTest, instance: string): string =>
  join(kernel.home, 'state/records', `${instance}.json`);

const instanceOf = async (kernel: KernelUnderTest, module: string): Promise<string> => {
  await kernel.instancePid(module);
  return (await rows(kernel)).find((row) => row.module === module)!.id;
};

/** Asks without a pause, since handover takes but some hundred milliseconds. */
const atHandover = async (kernel: KernelUnderTest): Promise<void> => {
  const untilMs = performance.now() + 20_000;
  for (;;) {
    const mode = await kernel.status().then(
      (status) => status.mode,
      () => 'not yet',
    );
    if (mode === 'handover') return;
    if (mode === 'running' || performance.now() > untilMs)
      throw new Error(`handover was not seen; the mode is ${mode}`);
  }
};

const createContainer = (name: string, body: unknown): Promise<string> =>
  new Promise((resolve, reject) => {
    const outgoing = request(
      {
        socketPath: ENGINE_HOST.replace('unix://', ''),
        method: 'POST',
        path: `/containers/create?name=${name}`,
        headers: { host: 'engine', 'content-type': 'application/json' },
      },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () => {
          const { Id, message } = JSON.parse(text) as { Id?: string; message?: string };
          if (Id === undefined) reject(new Error(message));
          else resolve(Id);
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(JSON.stringify(body));
  });

const containerExists = async (id: string): Promise<boolean> =>
  (await engineApi<ContainerRow[]>('GET', '/containers/json?all=1')).some(({ Id }) => Id === id);

describe('kill -9 of the kernel', () => {
  it('stops no instance, and the next kernel adopts all of them without a restart', async () => {
    await using kernel = await startKernel();
    await kernel.install(counterModule('alpha', { zone: 'stable', manifest: { instances: 3 } }));
    await kernel.install(counterModule('beta', { zone: 'stable' }));
    await kernel.install(counterModule('gamma', { zone: 'sandbox', manifest: { instances: 2 } }));
    await kernel.install(counterModule('delta', { zone: 'sandbox' }));
    // One with a past: its count of restarts is part of what is adopted.
    await crash(kernel, 'delta');
    await settled(kernel, 7);
    expect((await rows(kernel)).find(({ module }) => module === 'delta')).toMatchObject({ restarts: 1 });
    expect(await kernel.call('beta', 'count')).toBe(1);
    const before = await identities(kernel);
    const snapshot = await restingSnapshot(kernel);

    for (let round = 1; round <= 2; round += 1) {
      await kernel.kill9();
      expect((await containersOf(kernel.homeId())).map(({ State }) => State)).toEqual(
        Array.from({ length: 7 }, () => 'running'),
      );
      const beganMs = performance.now();
      await kernel.start();
      const tookMs = Math.round(performance.now() - beganMs);
      expect(await identities(kernel)).toEqual(before);
      const { bootMs } = await kernel.status();
      console.log(`adoption of 7 instances: ${tookMs} ms from spawn to up, bootMs ${Math.round(bootMs ?? -1)}`);
      for (const module of ['alpha', 'gamma', 'delta']) expect(await kernel.call(module, 'count')).toBeTypeOf('number');
      expect(await kernel.call('beta', 'count'), 'the process kept its memory').toBe(1 + round);
    }
    await expectSame(kernel, snapshot);
    const events = await kernel.ctl(['events', '--json']);
    expect(events.stdout.match(/"instance\.adopted"/g)).toHaveLength(7);

    // The adopted are supervised like all others.
    await crash(kernel, 'beta');
    expect(await kernel.call('beta', 'count')).toBe(1);
    await expectSame(kernel, snapshot);
  });

  it('with calls in flight: the callers are told, the instances live', async () => {
    await using kernel = await startKernel();
    await kernel.install(counterModule('worker', { zone: 'sandbox' }));
    await kernel.call('worker', 'count');
    const before = await identities(kernel);
    const client = await kernel.client();
    const calls = Array.from({ length: 20 }, () =>
      client
        .call('module.call', { module: 'worker', function: 'sleep', params: { ms: 30_000 } })
        .then(() => 'answered', codeOf),
    );
    const posted = kernel.call('worker', 'sleep', { ms: 30_000 }).then(() => 'answered', codeOf);
    await eventually('the calls are in flight', async () => {
      const { gate } = (await kernel.rpc('kernel.diagnostics', {})) as { gate: { inFlight: number } };
      return gate.inFlight >= 21;
    });
    const beganMs = performance.now();
    await kernel.kill9();
    const codes = [...(await Promise.all(calls)), await posted];
    expect(performance.now() - beganMs).toBeLessThan(2_000);
    for (const code of codes) expect(['UNAVAILABLE', 'NO_KERNEL']).toContain(code);
    await kernel.start();
    expect(await identities(kernel)).toEqual(before);
    expect(await kernel.call('worker', 'count')).toBe(2);
  });

  it('at eight moments of a boot: the next start has exactly what is wanted', async () => {
    await using kernel = await startKernel();
    await kernel.install(counterModule('one', { zone: 'stable' }));
    await kernel.install(counterModule('two', { zone: 'sandbox', manifest: { instances: 2 } }));
    await settled(kernel, 3);
    for (let round = 0; round < 8; round += 1) {
      await kernel.kill9();
      // Half of the rounds find nothing to adopt, so that the kill falls into the making of containers.
      if (round % 2 === 0)
        for (const { Id } of await containersOf(kernel.homeId())) await engineApi('POST', `/containers/${Id}/kill`);
      await kernel.start({ awaitUp: false });
      // Spread over the whole boot, the same each time, so that a failure can be made again.
      const afterMs = round * 190;
      await delay(afterMs);
      await kernel.kill9();
      await kernel.start();
      await settled(kernel, 3).catch((error: unknown) => {
        throw new Error(`killed ${afterMs} ms after its start, round ${round}`, { cause: error });
      });
      expect(await kernel.call('one', 'count')).toBeTypeOf('number');
      expect(await kernel.call('two', 'count')).toBeTypeOf('number');
    }
    const uids = (await containersOf(kernel.homeId())).map(({ Labels }) => Labels['kerneld.uid']);
    expect(new Set(uids).size).toBe(3);
  }, 240_000);

  it.each(['with instances to adopt', 'with instances to make'])(
    'at handover, %s: the next start has exactly what is wanted',
    async (which) => {
      await using kernel = await startKernel();
      await kernel.install(counterModule('one', { zone: 'stable' }));
      await kernel.install(counterModule('two', { zone: 'sandbox' }));
      const before = await identities(kernel);
      await kernel.kill9();
      if (which === 'with instances to make')
        for (const { Id } of await containersOf(kernel.homeId())) await engineApi('POST', `/containers/${Id}/kill`);
      await kernel.start({ awaitUp: false });
      await atHandover(kernel);
      await kernel.kill9();
      await kernel.start();
      await settled(kernel, 2);
      if (which === 'with instances to adopt') expect(await identities(kernel)).toEqual(before);
    },
  );
});

describe('SIGTERM at handover', () => {
  it('ends what was about to be adopted', async () => {
    await using kernel = await startKernel();
    await kernel.install(counterModule('one', { zone: 'stable' }));
    await kernel.install(counterModule('two', { zone: 'sandbox' }));
    await settled(kernel, 2);
    await kernel.kill9();
    await kernel.start({ awaitUp: false });
    await atHandover(kernel);
    expect(await kernel.terminate()).toBe(0);
    expect(await containersOf(kernel.homeId())).toEqual([]);
    expect(await kernel.snapshot()).toMatchObject({ containers: 0, directories: 0, records: 0, mounts: 0, sockets: 0 });
  });
});

describe('what a returning kernel finds', () => {
  it('replaces instances whose specification changed meanwhile, and only those', async () => {
    await using kernel = await startKernel();
    await kernel.install(counterModule('kept', { zone: 'stable' }));
    await kernel.install(counterModule('grown', { zone: 'sandbox' }));
    const kept = await kernel.instancePid('kept');
    const grown = await kernel.instancePid('grown');
    const snapshot = await restingSnapshot(kernel);
    await kernel.kill9();
    const sandbox = /sandbox: .*/;
    kernel.writeConfig(
      fastConfig().replace(sandbox, (line) => line.replace('memory: 64MiB, cpus: 1', 'memory: 128MiB, cpus: 1')),
    );
    await kernel.start();
    expect(await kernel.instancePid('kept')).toBe(kept);
    expect(await kernel.instancePid('grown')).not.toBe(grown);
    expect(running(grown)).toBe(false);
    const inspected = await kernel.rpc('zone.inspect', { zone: 'sandbox' });
    expect(inspected.instances).toMatchObject([{ sizeClass: '128MiB' }]);
    const again = await kernel.instancePid('grown');

    await kernel.kill9();
    kernel.writeConfig(
      fastConfig().replace(sandbox, (line) => line.replace('memory: 64MiB, cpus: 1', 'memory: 128MiB, cpus: 0.5')),
    );
    await kernel.start();
    expect(await kernel.instancePid('kept')).toBe(kept);
    expect(await kernel.instancePid('grown')).not.toBe(again);
    await expectSame(kernel, snapshot);
  });

  it('replaces instances whose module has other configuration values now', async () => {
    const manifest = {
      config: { type: 'object', properties: { greeting: { type: 'string' } }, additionalProperties: false },
    };
    const withGreeting = (greeting: string): string =>
      fastConfig(`modules:\n  polite: { config: { greeting: ${greeting} } }\n`);
    await using kernel = await startKernel({ config: withGreeting('Hello') });
    await kernel.install(counterModule('polite', { manifest }));
    await kernel.install(counterModule('other', { manifest }));
    const polite = await kernel.instancePid('polite');
    const other = await kernel.instancePid('other');
    expect(await kernel.call('polite', 'config')).toEqual({ greeting: 'Hello' });
    await kernel.kill9();
    kernel.writeConfig(withGreeting('Good-day'));
    await kernel.start();
    expect(await kernel.call('polite', 'config')).toEqual({ greeting: 'Good-day' });
    expect(await kernel.instancePid('polite')).not.toBe(polite);
    expect(await kernel.instancePid('other')).toBe(other);
    expect(running(polite)).toBe(false);
    await settled(kernel, 2);
  });

  it('kills and replaces instances whose record is missing, unfinished or damaged', async () => {
    await using kernel = await startKernel();
    const names = ['intact', 'missing', 'assigning', 'truncated', 'empty', 'flipped'] as const;
    for (const [at, name] of names.entries())
      await kernel.install(counterModule(name, { zone: at % 2 === 0 ? 'stable' : 'sandbox' }));
    const pids = new Map<string, number>();
    for (const name of names) pids.set(name, await kernel.instancePid(name));
    const files = new Map<string, string>();
    for (const name of names) files.set(name, recordFile(kernel, await instanceOf(kernel, name)));
    const snapshot = await restingSnapshot(kernel);
    await kernel.kill9();

    rmSync(files.get('missing')!);
    const text = readFileSync(files.get('assigning')!, 'utf8');
    expect(text).toContain('"assigned"');
    writeFileSync(files.get('assigning')!, text.replace('"assigned"', '"assigning"'));
    const whole = readFileSync(files.get('truncated')!);
    writeFileSync(files.get('truncated')!, whole.subarray(0, whole.length - 7));
    writeFileSync(files.get('empty')!, '');
    // One bit, in a digit: still JSON, and still a record. '0' becomes '1'.
    const flipped = readFileSync(files.get('flipped')!, 'utf8');
    expect(flipped).toContain('"restarts":0');
    writeFileSync(files.get('flipped')!, flipped.replace('"restarts":0', '"restarts":1'));

    await kernel.start();
    await settled(kernel, names.length);
    expect(await kernel.instancePid('intact')).toBe(pids.get('intact'));
    for (const name of names.slice(1)) {
      expect(await kernel.instancePid(name), name).not.toBe(pids.get(name));
      expect(running(pids.get(name)!), name).toBe(false);
      expect(await kernel.call(name, 'count')).toBe(1);
      expect((await rows(kernel)).find(({ module }) => module === name)?.restarts, name).toBe(0);
    }
    await expectSame(kernel, snapshot);
  });

  it('sweeps the orphans of its own home, and touches no other home', async () => {
    await using kernel = await startKernel();
    await kernel.install(counterModule('kept'));
    const kept = await kernel.instancePid('kept');
    const keptId = await instanceOf(kernel, 'kept');
    const { image } = await kernel.rpc('zone.inspect', { zone: 'stable' });
    const snapshot = await restingSnapshot(kernel);
    await kernel.kill9();

    const labels = (home: string, more: Record<string, string>) => ({ 'kerneld.home': home, ...more });
    const stray = (home: string, more: Record<string, string> = {}) =>
      createContainer(`stray-${home}-${Object.keys(more).length}`, {
        Image: image,
        Cmd: ['x'],
        Labels: labels(home, more),
        HostConfig: { NetworkMode: 'none' },
      });
    const own = await stray(kernel.homeId());
    const ownOdd = await stray(kernel.homeId(), {
      'kerneld.zone': 'no-such-zone',
      'kerneld.instance': '../../etc',
      'kerneld.uid': 'NaN',
    });
    const otherHome = 'feedfacebeef';
    const foreign = await stray(otherHome, { 'kerneld.zone': 'stable', 'kerneld.instance': 'i-ffffffffffff' });
    try {
      const instances = join(kernel.home, 'state/instances');
      const records = join(kernel.home, 'state/records');
      mkdirSync(join(instances, 'i-ffffffffffff'));
      mkdirSync(join(instances, 'something-else/deeper'), { recursive: true });
      // What a killed kernel leaves: a socket file without a listener. A listener that ends well removes its file.
      const stale = join(instances, 'i-ffffffffffff/agent.sock');
      const left = await run(process.execPath, [
        '-e',
        `require('node:net').createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, 'SIGKILL'))`,
      ]);
      expect(left.status).toBe(128);
      expect(statSync(stale).isSocket()).toBe(true);
      // A socket of that kind in the place of the instance that lives.
      const keptSocket = join(instances, keptId, 'agent.sock');
      renameSync(stale, keptSocket);
      await run(process.execPath, [
        '-e',
        `require('node:net').createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, 'SIGKILL'))`,
      ]);
      writeFileSync(join(records, 'i-dddddddddddd.json'), readFileSync(join(records, readdirSync(records)[0]!)));
      writeFileSync(join(records, 'i-cccccccccccc.json.tmp'), '{');
      writeFileSync(join(records, 'no-record'), 'x');
      mkdirSync(join(records, 'i-bbbbbbbbbbbb.json'));

      await kernel.start();
      expect(await kernel.instancePid('kept')).toBe(kept);
      expect(await containerExists(own)).toBe(false);
      expect(await containerExists(ownOdd)).toBe(false);
      expect(await containerExists(foreign)).toBe(true);
      await expectSame(kernel, snapshot);
      await settled(kernel, 1);
    } finally {
      await engineApi('DELETE', `/containers/${foreign}?force=1`);
    }
  });
});

describe('instances whose kernel never comes back', () => {
  it('end themselves; that counts as no crash', async () => {
    const config = fastConfig().replace('drainTimeout: 3s', 'drainTimeout: 3s\n  orphanTimeout: 5s');
    await using kernel = await startKernel({ config });
    await kernel.install(counterModule('one', { zone: 'stable' }));
    await kernel.install(counterModule('two', { zone: 'sandbox' }));
    await settled(kernel, 2);
    const pids = [await kernel.instancePid('one'), await kernel.instancePid('two')];
    const snapshot = await restingSnapshot(kernel);
    await kernel.kill9();
    await eventually(
      'the containers have ended by themselves',
      async () => {
        const states = (await containersOf(kernel.homeId())).map(({ State }) => State);
        return states.length === 2 && states.every((state) => state === 'exited');
      },
      20_000,
    );
    for (const pid of pids) expect(running(pid)).toBe(false);
    await kernel.start();
    await settled(kernel, 2);
    for (const { restarts } of await rows(kernel)) expect(restarts).toBe(0);
    expect(await kernel.call('one', 'count')).toBe(1);
    expect(await kernel.call('two', 'count')).toBe(1);
    await expectSame(kernel, snapshot);
  });
});
