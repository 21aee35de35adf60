/**
 * Everything that an instance can do or suffer, one after the other on one kernel. After each: the module answers
 * again from a new instance, a module beside it never noticed, and nothing was left behind.
 */
import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { engineApi, eventually, startKernel, type KernelUnderTest } from '../support/kernel.ts';
import { processesOf, sameAs, takeSnapshot, type FullSnapshot } from '../support/snapshot.ts';
import { startWitness, type Witness, type WitnessReport } from '../support/witness.ts';

const UIDS: readonly [number, number] = [231_000, 231_199];
/** One failure is answered at once, a second and third after a delay that can be seen, the fourth ends in quarantine. */
const CONFIG = `apiVersion: kerneld/v1
pool: { memory: 3GiB, cpus: 2 }
zones:
  stable: { memory: 1536MiB, cpus: 1, instance: { memory: 64MiB, cpus: 1, tmp: 8MiB, moduleTmp: 8MiB } }
  sandbox: { memory: 1536MiB, cpus: 1, instance: { memory: 64MiB, cpus: 1, tmp: 8MiB, moduleTmp: 8MiB } }
instances:
  uidRange: { first: ${UIDS[0]}, last: ${UIDS[1]} }
  assignTimeout: 2s
  heartbeat: { interval: 300ms, limit: 1500ms }
  drainTimeout: 2s
restart:
  backoff: { initial: 400ms, max: 10s, factor: 2, jitter: 0.2 }
  stableAfter: 1s
  intensity: { restarts: 3, window: 60s }
`;

const FAULTY = `
import { writeFileSync, appendFileSync, rmSync, readdirSync } from 'node:fs';
import { spawn } from 'node:child_process';
export const ok = () => ({ ok: true });
export const exit = ({ code }) => process.exit(code);
export const uncaught = () => { setTimeout(() => { throw new Error('thrown on purpose'); }, 1); return null; };
export const rejection = () => { setTimeout(() => Promise.reject(new Error('rejected on purpose')), 1); return null; };
export const memory = () => { const kept = []; for (;;) kept.push(Buffer.alloc(4 * 1024 * 1024, 1)); };
export const heap = () => { const kept = []; for (;;) kept.push({ kept: [...kept.slice(-50)] }); };
export const loop = () => { for (;;); };
export const fill = ({ directory }) => {
  const chunk = Buffer.alloc(64 * 1024, 1);
  for (let count = 0; count < 10_000; count += 1) {
    try { appendFileSync(directory + '/full-' + (count % 4), chunk); } catch (error) { return { code: error.code, count }; }
  }
  return { code: 'never', count: 10_000 };
};
export const unfill = ({ directory }) => { for (const name of readdirSync(directory)) if (name.startsWith('full-')) rmSync(directory + '/' + name); return null; };
export const spawned = () => new Promise((resolve) => {
  try {
    spawn(process.execPath, ['-v']).on('error', (error) => resolve(error.code)).on('close', (code) => resolve('ran ' + code));
  } catch (error) { resolve(error.code); }
});
`;
const FUNCTIONS = Object.fromEntries(
  ['ok', 'exit', 'uncaught', 'rejection', 'memory', 'heap', 'loop', 'fill', 'unfill', 'spawned'].map((name) => [
    name,
    {},
  ]),
);

let kernel: KernelUnderTest;
let witness: Witness;
let before: FullSnapshot;

beforeAll(async () => {
  kernel = await startKernel({ config: CONFIG });
  witness = await startWitness(kernel, 'stable');
  await kernel.install({ name: 'faulty', zone: 'sandbox', code: FAULTY, functions: FUNCTIONS });
  await kernel.instancePid('faulty');
  before = await takeSnapshot(kernel, { uids: UIDS });
});
afterAll(async () => {
  await witness?.[Symbol.asyncDispose]();
  await kernel?.[Symbol.asyncDispose]();
});

type Zone = 'stable' | 'sandbox';
const inspect = (zone: Zone = 'sandbox') => kernel.rpc('zone.inspect', { zone });
const unitOf = async (module: string, zone: Zone = 'sandbox') =>
  (await inspect(zone)).units.find((unit) => unit.module === module);
/** Does something of which the caller expects nothing but that it ends. */
const ends = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'answered',
    (error: unknown) => String((error as { code?: unknown }).code),
  );

const unnoticed = ({ failures, calls, p99Ms }: WitnessReport): void => {
  expect(failures).toEqual([]);
  expect(calls).toBeGreaterThan(0);
  expect(p99Ms).toBeLessThan(1_000);
};
const nothingLeft = async (): Promise<void> => {
  expect(await sameAs(before, () => takeSnapshot(kernel, { uids: UIDS }))).toEqual(before);
};
/** A new instance without a history: what one test did does not count against the next. */
const renew = async (module = 'faulty'): Promise<void> => {
  await kernel.rpc('module.restart', { module });
  await eventually(`${module} runs`, async () => (await kernel.rpc('module.show', { module })).phase === 'running');
};

/** Has the instance of `faulty` end by `fault`; tells how it went. */
const suffer = async (fault: (pid: number) => unknown) => {
  await renew();
  const pid = await kernel.instancePid('faulty');
  const last = (await unitOf('faulty'))?.lastExit;
  const { value: exit, report } = await witness.during(async () => {
    await fault(pid);
    const seen = await eventually('the exit is known', async () => {
      const exit = (await unitOf('faulty'))?.lastExit;
      return exit?.at === last?.at && exit?.cause === last?.cause ? null : exit;
    });
    expect(await kernel.call('faulty', 'ok')).toEqual({ ok: true });
    return seen;
  });
  expect(await kernel.instancePid('faulty')).not.toBe(pid);
  unnoticed(report);
  await nothingLeft();
  return exit;
};

describe('an instance that ends', () => {
  it('by SIGKILL from outside is replaced, with the signal as cause', async () => {
    expect(await suffer((pid) => process.kill(pid, 'SIGKILL'))).toMatchObject({
      cause: 'signal',
      exitCode: 137,
      signal: 'SIGKILL',
      oomKilled: false,
    });
  });

  it.each([0, 1, 42])('by process.exit(%i) fails the call and is replaced', async (code) => {
    const exit = await suffer(async () =>
      expect(await ends(kernel.call('faulty', 'exit', { code }))).toBe('INSTANCE_LOST'),
    );
    expect(exit).toMatchObject({ cause: 'exited', exitCode: code, oomKilled: false });
  });

  it.each(['uncaught', 'rejection'])('by an error nobody handles (%s) says so in its log', async (fault) => {
    const exit = await suffer(() => ends(kernel.call('faulty', fault)));
    expect(exit).toMatchObject({ cause: 'exited', exitCode: 70 });
    const { stdout } = await kernel.ctl(['logs', 'faulty', '--json']);
    expect(stdout).toContain(fault === 'uncaught' ? 'thrown on purpose' : 'rejected on purpose');
  });

  it('by memory outside the heap dies of its own limit', async () => {
    const exit = await suffer(async () => expect(await ends(kernel.call('faulty', 'memory'))).toBe('INSTANCE_LOST'));
    expect(exit).toMatchObject({ cause: 'oom', oomKilled: true });
  });

  it('by a full JavaScript heap is told apart from that', async () => {
    const exit = await suffer(async () => expect(await ends(kernel.call('faulty', 'heap'))).toBe('INSTANCE_LOST'));
    expect(exit).toMatchObject({ cause: 'heap', oomKilled: false });
  });
});

describe('an instance that stops answering', () => {
  it('in an endless loop is ended by the heartbeat', async () => {
    const exit = await suffer(async () => expect(await ends(kernel.call('faulty', 'loop'))).toBe('INSTANCE_LOST'));
    expect(exit).toMatchObject({ cause: 'unresponsive' });
  });

  it('in a call with a short deadline fails that call in time, and is ended', async () => {
    let tookMs = 0;
    const exit = await suffer(async () => {
      const startMs = performance.now();
      expect(await ends(kernel.call('faulty', 'loop', {}, 300))).toBe('DEADLINE_EXCEEDED');
      tookMs = performance.now() - startMs;
    });
    expect(tookMs).toBeGreaterThan(250);
    expect(tookMs).toBeLessThan(1_200);
    expect(['deadline', 'unresponsive']).toContain(exit.cause);
  });

  it('because SIGSTOP froze it is ended by the heartbeat', async () => {
    expect(await suffer((pid) => process.kill(pid, 'SIGSTOP'))).toMatchObject({ cause: 'unresponsive' });
  });

  it('because the engine froze it is ended by the heartbeat', async () => {
    const exit = await suffer(async (pid) => {
      const container = (await inspect()).instances.find((row) => row.pid === pid)?.container;
      await engineApi('POST', `/containers/${container}/pause`);
    });
    expect(exit).toMatchObject({ cause: 'unresponsive' });
  });
});

describe('an instance at a limit', () => {
  it.each(['/tmp', '/module'])('that fills %s gets ENOSPC and goes on', async (directory) => {
    await renew();
    const pid = await kernel.instancePid('faulty');
    const { value, report } = await witness.during(() => kernel.call('faulty', 'fill', { directory }));
    expect(value).toMatchObject({ code: 'ENOSPC' });
    // 8 MiB, less what the module itself takes of /module.
    expect((value as { count: number }).count).toBeGreaterThan(100);
    expect((value as { count: number }).count).toBeLessThanOrEqual(128);
    expect(await kernel.call('faulty', 'ok')).toEqual({ ok: true });
    expect(await kernel.call('faulty', 'unfill', { directory })).toBeNull();
    expect(await kernel.instancePid('faulty')).toBe(pid);
    unnoticed(report);
    await nothingLeft();
  });

  it('may start no process in the sandbox', async () => {
    expect(await kernel.call('faulty', 'spawned')).toBe('ERR_ACCESS_DENIED');
  });

  it('that is a fork bomb in stable stays within its processes, and is swept with them', async () => {
    const bomb = `
import { spawn } from 'node:child_process';
const code = 'const { spawn } = require("node:child_process"); const bear = () => { for (let n = 0; n < 3; n += 1) try { spawn(process.execPath, ["-e", process.argv[1] ?? ""], { stdio: "ignore" }).on("error", () => {}); } catch {} }; bear(); setInterval(bear, 50);';
const children = [];
export const ok = () => ({ ok: true });
export const explode = () => {
  for (let n = 0; n < 3; n += 1) children.push(spawn(process.execPath, ['--allow-child-process', '-e', code, code], { stdio: 'ignore' }).on('error', () => {}));
  return null;
};
export const full = () => new Promise((resolve) => {
  const child = spawn(process.execPath, ['-v'], { stdio: 'ignore' });
  child.on('error', (error) => resolve(error.code));
  child.on('exit', (status, signal) => resolve(signal ?? status));
});`;
    const PIDS = 64;
    await kernel.install({
      name: 'bomb',
      zone: 'stable',
      code: bomb,
      functions: { ok: {}, explode: {}, full: {} },
      manifest: { resources: { memory: '512MiB', pids: PIDS } },
    });
    await kernel.instancePid('bomb');
    const threads = async (): Promise<number> => {
      const uid = (await inspect('stable')).instances.find(({ module }) => module === 'bomb')?.uid ?? -1;
      return processesOf(new Set([uid])).reduce((sum, pid) => {
        try {
          return sum + readdirSync(`/proc/${pid}/task`).length;
        } catch {
          // It ended meanwhile.
          return sum;
        }
      }, 0);
    };
    const { report } = await witness.during(async () => {
      await ends(kernel.call('bomb', 'explode', {}, 2_000));
      let most = 0;
      await eventually('it is at its limit, or was ended', async () => {
        most = Math.max(most, await threads());
        expect(most).toBeLessThanOrEqual(PIDS);
        return most > PIDS - 16 || ((await unitOf('bomb', 'stable'))?.restarts ?? 0) > 0;
      });
      expect(most).toBeGreaterThan(11);
    });
    unnoticed(report);
    expect((await inspect('stable')).state).toBe('ready');
    const { uid } = (await inspect('stable')).instances.find(({ module }) => module === 'bomb')!;
    await kernel.rpc('module.remove', { module: 'bomb' });
    await eventually('its processes are gone with it', () => processesOf(new Set([uid])).length === 0);
    await nothingLeft();
  });
});

describe('a module that cannot be loaded', () => {
  const failing: readonly (readonly [string, string, RegExp])[] = [
    ['import-throws', `throw new Error('no import');`, /no import/],
    [
      'import-hangs',
      `await new Promise((resolve) => setTimeout(resolve, 1e9)); export const ok = () => 1;`,
      /did not load in time/,
    ],
    ['start-throws', `export const start = async () => { throw new Error('no start'); };`, /no start/],
  ];

  it.each(failing)(
    '%s: backs off further each time, then goes into quarantine with its reason',
    async (name, code, reason) => {
      const seen = new Map<number, number>();
      const { report } = await witness.during(async () => {
        await kernel.install({ name, code, functions: {} });
        await eventually(`${name} is in quarantine`, async () => {
          const unit = await unitOf(name);
          if (unit?.state === 'backoff') {
            expect(unit.nextStartInMs).toBeLessThanOrEqual(unit.restarts === 2 ? 400 : 800);
            seen.set(unit.restarts, Number(/restarting in (\d+) ms/.exec(unit.reason ?? '')?.[1]));
          }
          return unit?.state === 'quarantined';
        });
      });
      // 400 and 800 ms, less at most a fifth.
      expect([...seen.keys()]).toEqual([2, 3]);
      expect(seen.get(2)).toBeGreaterThanOrEqual(320);
      expect(seen.get(2)).toBeLessThanOrEqual(400);
      expect(seen.get(3)).toBeGreaterThanOrEqual(640);
      expect(seen.get(3)).toBeLessThanOrEqual(800);

      const unit = await eventually('the last exit is known', async () => {
        const now = await unitOf(name);
        return now?.lastExit ? now : null;
      });
      expect(unit).toMatchObject({
        state: 'quarantined',
        restarts: 3,
        nextStartInMs: null,
        lastExit: { cause: 'loadFailed' },
      });
      expect(unit.reason).toMatch(reason);
      const shown = await kernel.rpc('module.show', { module: name });
      expect(shown.phase).toBe('quarantined');
      expect(shown.reason).toMatch(reason);
      expect((await inspect()).state).toBe('ready');
      expect(await kernel.call('faulty', 'ok')).toEqual({ ok: true });
      unnoticed(report);
      await kernel.rpc('module.remove', { module: name });
      await nothingLeft();
    },
  );

  it('because start() fails later ends with the code of a failed module', async () => {
    await kernel.install({
      name: 'start-late',
      code: `export const start = () => new Promise((_, reject) => setTimeout(() => reject(new Error('later')), 100));`,
    });
    const exit = await eventually('it ended', async () => (await unitOf('start-late'))?.lastExit);
    expect(exit).toMatchObject({ cause: 'exited', exitCode: 70 });
    await kernel.rpc('module.remove', { module: 'start-late' });
    await nothingLeft();
  });
});

describe('restart intensity', () => {
  const kill = async (): Promise<void> => {
    const pid = await kernel.instancePid('faulty');
    process.kill(pid, 'SIGKILL');
    await eventually('the kernel noticed', async () => {
      const { instances } = (await kernel.status()).zones.find(({ name }) => name === 'sandbox')!;
      return !instances.some((row) => row.pid === pid && row.state === 'ready');
    });
  };

  it('quarantines that module only; calls say so; a restart lifts it', async () => {
    await renew();
    await kernel.install({ name: 'beside', code: 'export const ok = () => ({ ok: true });', functions: { ok: {} } });
    const { report } = await witness.during(async () => {
      for (let deaths = 0; deaths < 4; deaths += 1) await kill();
      await eventually('quarantine', async () => (await unitOf('faulty'))?.state === 'quarantined');
    });
    unnoticed(report);
    expect(await ends(kernel.call('faulty', 'ok'))).toBe('MODULE_QUARANTINED');
    expect(await kernel.call('beside', 'ok')).toEqual({ ok: true });
    const row = (await kernel.status()).modules.find(({ name }) => name === 'faulty');
    expect(row).toMatchObject({ phase: 'quarantined', reason: expect.stringMatching(/4 failures within 60000 ms/) });
    const restarted = await kernel.ctl(['module', 'restart', 'faulty']);
    expect(restarted.status).toBe(0);
    expect(await kernel.call('faulty', 'ok')).toEqual({ ok: true });
    expect((await unitOf('faulty'))?.state).toBe('running');
    await kernel.rpc('module.remove', { module: 'beside' });
    await nothingLeft();
  });

  it('starts the delay afresh after stability', async () => {
    await renew();
    const delays: (string | undefined)[] = [];
    const reasonAfterKill = async (): Promise<void> => {
      const restarts = (await unitOf('faulty'))?.restarts ?? 0;
      await kill();
      const unit = await eventually('the restart is decided', async () => {
        const now = await unitOf('faulty');
        return now !== undefined && now.restarts > restarts ? now : null;
      });
      delays.push(unit.state === 'backoff' ? 'delayed' : 'at once');
    };
    await reasonAfterKill();
    await reasonAfterKill();
    const stable = await kernel.instancePid('faulty');
    await eventually('it was stable', async () => {
      const row = (await inspect()).instances.find(({ pid }) => pid === stable);
      return (row?.uptimeMs ?? 0) > 2_000;
    });
    await reasonAfterKill();
    expect(delays).toEqual(['at once', 'delayed', 'at once']);
    await nothingLeft();
  });
});
