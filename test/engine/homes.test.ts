/** Homes: one kernel each, none in another's way, and a clear word where one cannot be used. */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import {
  containersOf,
  ENGINE_HOST,
  eventually,
  fastConfig,
  procStatus,
  PROJECT,
  run,
  startKernel,
  type CommandResult,
  type KernelUnderTest,
} from '../support/kernel.ts';
import { counterModule, crash } from '../support/probe-module.ts';
import { expectSame, restingSnapshot } from '../support/same-as-before.ts';

const kerneld = (home: string): Promise<CommandResult> =>
  run(process.execPath, [join(PROJECT, 'daemon/kerneld.mjs')], {
    env: { KERNELD_HOME: home, DOCKER_HOST: ENGINE_HOST },
    timeoutMs: 20_000,
  });

const rows = async (kernel: KernelUnderTest) => (await kernel.status()).zones.flatMap(({ instances }) => instances);
const uidsOf = async (kernel: KernelUnderTest): Promise<string[]> =>
  (await containersOf(kernel.homeId())).map(({ Labels }) => Labels['kerneld.uid']!);

/** A directory on a file system of its own. */
const withTmpfs = async (options: string, body: (directory: string) => Promise<void>): Promise<void> => {
  const directory = mkdtempSync('/tmp/kt-');
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory]);
  expect(mounted).toMatchObject({ status: 0 });
  try {
    // Below the mount point, which cannot be removed while it is one.
    const home = join(directory, 'h');
    mkdirSync(home);
    await body(home);
  } finally {
    await run('umount', ['-l', directory]);
    rmSync(directory, { recursive: true, force: true });
  }
};

/** Takes all space that is left, to the last byte. */
const fill = (directory: string): string => {
  const file = join(directory, 'ballast');
  for (const size of [65_536, 4_096, 1]) {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(size), { flag: 'a' });
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
    }
  }
  expect(statfsSync(directory).bavail).toBe(0);
  return file;
};

describe('one home', () => {
  it('refuses a second kernel, which changes nothing of the first', async () => {
    await using kernel = await startKernel();
    await kernel.install(counterModule('only'));
    const pid = await kernel.instancePid('only');
    const snapshot = await restingSnapshot(kernel);
    const second = await kerneld(kernel.home);
    expect(second.status).toBe(1);
    expect(second.stdout + second.stderr).toContain('HOME_LOCKED');
    expect(second.stdout + second.stderr).toContain(`pid ${kernel.pid()}`);
    expect(await kernel.call('only', 'count')).toBe(1);
    expect(await kernel.instancePid('only')).toBe(pid);
    await expectSame(kernel, snapshot);
  });

  it('lets one of two win that are started at the same moment', async () => {
    await using kernel = await startKernel();
    await kernel.kill9();
    const third = kerneld(kernel.home);
    const [other] = await Promise.allSettled([kernel.start()]);
    if (other.status === 'fulfilled') {
      expect((await third).status).toBe(1);
      expect((await kernel.status()).pid).toBe(kernel.pid());
    } else {
      // The third one won; ask it to stop, as its own way out.
      const { pid } = await kernel.status();
      expect(pid).not.toBe(kernel.pid());
      process.kill(pid, 'SIGTERM');
      expect((await third).status).toBe(0);
    }
  });

  it('is taken over with the stale operator socket of a killed kernel in it', async () => {
    await using kernel = await startKernel();
    await kernel.kill9();
    expect(statSync(kernel.operatorSocket).isSocket()).toBe(true);
    const refused = await new Promise<string | undefined>((resolve) => {
      connect(kernel.operatorSocket).on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    });
    expect(refused).toBe('ECONNREFUSED');
    expect(await kernel.ctl(['status'])).toMatchObject({ status: 3 });
    await kernel.start();
    expect(await kernel.ctl(['status'])).toMatchObject({ status: 0 });
    expect(statSync(kernel.operatorSocket).mode & 0o777).toBe(0o600);
  });

  it.each([
    ['an operator', 100],
    // Shorter: the operator's socket still fits, those of instances do not.
    ['an instance', 75],
  ])('whose path leaves no room for the socket of %s is refused at once', async (_whose, bytes) => {
    const base = mkdtempSync('/tmp/kt-');
    try {
      const home = join(base, 'x'.repeat(bytes - base.length - 1));
      mkdirSync(home);
      const ended = await kerneld(home);
      expect(ended.status).toBe(1);
      expect(ended.stdout + ended.stderr).toContain('SOCKET_PATH_TOO_LONG');
      expect(ended.stdout + ended.stderr).toContain('Set KERNELD_HOME to a shorter path');
      expect(existsSync(join(home, 'state')), 'nothing was begun').toBe(false);
    } finally {
      rmSync(base, { recursive: true, force: true });
    }
  });

  it('on a read-only file system is refused with what to do', async () => {
    await withTmpfs('size=4m', async (directory) => {
      expect(await run('mount', ['-o', 'remount,ro', dirname(directory)])).toMatchObject({ status: 0 });
      const ended = await kerneld(directory);
      expect(ended.status).toBe(1);
      expect(ended.stdout + ended.stderr).toContain('STATE_UNUSABLE');
      expect(ended.stdout + ended.stderr).toContain('mounted read-only');
    });
  });

  it('on a full file system is refused with what to do, and used as soon as there is room', async () => {
    await withTmpfs('size=2m', async (directory) => {
      writeFileSync(join(directory, 'kernel.yaml'), fastConfig());
      const ballast = fill(directory);
      const ended = await kerneld(directory);
      expect(ended.status).toBe(1);
      expect(ended.stdout + ended.stderr).toMatch(/STATE_UNUSABLE|ENOSPC/);
      expect(ended.stdout + ended.stderr).not.toMatch(/^\s+at /m);
      // Nothing half done: a home id is there whole, or not at all.
      const idFile = join(directory, 'state/home-id');
      if (existsSync(idFile)) expect(readFileSync(idFile, 'utf8')).toMatch(/^[0-9a-f]{12}\n$/);
      rmSync(ballast);
      await using kernel = await startKernel({ home: directory });
      expect((await kernel.status()).mode).toBe('running');
      await kernel.terminate();
    });
  });

  it('that fills up while the kernel runs: it answers, refuses what needs the disk, and goes on when there is room', async () => {
    await withTmpfs('size=16m', async (directory) => {
      await using kernel = await startKernel({ home: directory });
      await kernel.install(counterModule('present'));
      const pid = await kernel.instancePid('present');
      const ballast = fill(directory);
      expect((await kernel.status()).mode).toMatch(/running|degraded/);
      expect(await kernel.call('present', 'count')).toBe(1);
      const refused = await installDirectory(kernel, 'late', "export const hello = () => 'late';");
      expect(refused.status).toBe(1);
      expect(JSON.parse(refused.stdout + refused.stderr)).toMatchObject({
        error: { code: expect.stringMatching(/STATE_UNUSABLE|STORE|DISK/) },
      });
      expect((await kernel.rpc('module.list', {})).map(({ name }) => name)).toEqual(['present']);
      const { checks } = JSON.parse((await kernel.ctl(['doctor', '--json'])).stdout) as {
        checks: { name: string; status: string }[];
      };
      expect(checks.find(({ name }) => name === 'disk')).toMatchObject({ status: 'failed' });
      // A replacement needs a record, which the full disk does not take: it comes when there is room.
      process.kill(pid, 'SIGKILL');
      await eventually('the loss is known', async () => (await rows(kernel)).every((row) => row.pid !== pid));
      expect((await kernel.status()).pid).toBe(kernel.pid());
      rmSync(ballast);
      await kernel.ctl(['module', 'restart', 'present']);
      expect(await kernel.call('present', 'count')).toBe(1);
      expect((await installDirectory(kernel, 'late', "export const hello = () => 'late';")).status).toBe(0);
      expect(await kernel.call('late', 'hello')).toBe('late');
      await kernel.terminate();
    });
  });

  it('has the old or the new version of a module whose installation was cut short, never less', async () => {
    await using kernel = await startKernel();
    const version = (n: number): string => `export const hello = () => 'version ${n}';`;
    expect((await installDirectory(kernel, 'changing', version(0))).status).toBe(0);
    let current = 0;
    const outcomes: string[] = [];
    for (let round = 1; round <= 8; round += 1) {
      const installing = installDirectory(kernel, 'changing', version(round));
      // kernelctl packs for some 300 ms before it talks to the kernel.
      await delay(200 + round * 85);
      await kernel.kill9();
      await installing;
      await kernel.start();
      const answer = await kernel.call('changing', 'hello');
      expect(['old', 'new'].map((_, at) => `version ${at === 0 ? current : round}`)).toContain(answer);
      outcomes.push(answer === `version ${round}` ? 'new' : 'old');
      if (answer === `version ${round}`) current = round;
      expect((await kernel.status()).modules).toMatchObject([{ name: 'changing', phase: 'running' }]);
      expect(await restingSnapshot(kernel)).toMatchObject({ containers: 1, directories: 1, records: 1 });
    }
    console.log(`installations cut short: ${outcomes.join(' ')}`);
  });
});

describe('two homes on one engine', () => {
  it('share a range of uids and nothing else', async () => {
    const range = fastConfig().replace(
      'drainTimeout: 3s',
      'drainTimeout: 3s\n  uidRange: { first: 211000, last: 211127 }',
    );
    await using left = await startKernel({ config: range });
    await using right = await startKernel({ config: range });
    expect(left.homeId()).not.toBe(right.homeId());
    await Promise.all(
      [left, right].flatMap((kernel) => [kernel.install(counterModule('same', { manifest: { instances: 3 } }))]),
    );
    for (const kernel of [left, right]) {
      await eventually(
        'three are ready',
        async () => (await rows(kernel)).filter(({ state }) => state === 'ready').length === 3,
      );
    }
    const uids = [...(await uidsOf(left)), ...(await uidsOf(right))];
    expect(new Set(uids).size).toBe(6);
    const ids = (await rows(left)).map(({ id }) => id);
    for (const { id } of await rows(right)) expect(ids).not.toContain(id);
    const before = (await rows(right)).map(({ id, pid }) => `${id} ${pid}`).sort();

    // Whatever becomes of one home, the other does not notice: killed, swept, emptied.
    await left.kill9();
    await left.start();
    await left.ctl(['zone', 'restart', 'sandbox']);
    await left.ctl(['module', 'rm', 'same']);
    expect(await left.terminate()).toBe(0);
    expect(await containersOf(left.homeId())).toEqual([]);
    expect((await rows(right)).map(({ id, pid }) => `${id} ${pid}`).sort()).toEqual(before);
    for (let n = 0; n < 3; n += 1) expect(await right.call('same', 'count')).toBeTypeOf('number');
  });
});

describe('a kernel that is not root', () => {
  it('works the same in the group that owns the engine socket', async () => {
    const home = mkdtempSync('/tmp/kt-');
    const { gid } = statSync(ENGINE_HOST.replace('unix://', ''));
    const uid = 65_500;
    writeFileSync(join(home, 'kernel.yaml'), fastConfig());
    chownSync(home, uid, uid);
    chmodSync(home, 0o755);
    const through = [
      'setpriv',
      `--reuid=${uid}`,
      `--regid=${uid}`,
      `--groups=${gid}`,
      '--inh-caps=-all',
      '--bounding-set=-all',
      '--no-new-privs',
    ];
    await using kernel = await startKernel({ home, through });
    expect(procStatus(kernel.pid(), 'Uid')?.split('\t')[0]).toBe(String(uid));
    expect(procStatus(kernel.pid(), 'CapEff')).toBe('0000000000000000');
    await kernel.install(counterModule('mine', { zone: 'stable' }));
    await kernel.install(counterModule('theirs', { zone: 'sandbox' }));
    expect(await kernel.call('mine', 'count')).toBe(1);
    const pid = await kernel.instancePid('mine');
    const snapshot = await restingSnapshot(kernel);
    await kernel.kill9();
    await kernel.start();
    expect(await kernel.instancePid('mine')).toBe(pid);
    expect(await kernel.call('mine', 'count')).toBe(2);
    await crash(kernel, 'theirs');
    expect(await kernel.call('theirs', 'count')).toBe(1);
    await expectSame(kernel, snapshot);
    const { status } = await kernel.ctl(['doctor', '--json']);
    expect(status).toBe(0);
    expect(await kernel.terminate()).toBe(0);
    expect(await containersOf(kernel.homeId())).toEqual([]);
  });

  it('is told what to do when it may not use the engine', async () => {
    const home = mkdtempSync('/tmp/kt-');
    writeFileSync(join(home, 'kernel.yaml'), fastConfig());
    chownSync(home, 65_501, 65_501);
    await using kernel = await startKernel({
      home,
      through: ['setpriv', '--reuid=65501', '--regid=65501', '--clear-groups'],
    });
    const { mode, reason } = await kernel.status();
    expect(mode).toBe('degraded');
    expect(reason).toMatch(/EACCES|permission/i);
    const { checks } = JSON.parse((await kernel.ctl(['doctor', '--json'])).stdout) as {
      checks: { name: string; remedy: string | null }[];
    };
    expect(checks.find(({ name }) => name === 'engine')?.remedy).toMatch(/group/);
  });
});

/** `kernelctl module install` of a module with one function. */
async function installDirectory(kernel: KernelUnderTest, name: string, code: string): Promise<CommandResult> {
  const directory = mkdtempSync('/tmp/km-');
  try {
    writeFileSync(join(directory, 'index.mjs'), code);
    writeFileSync(
      join(directory, 'module.yaml'),
      JSON.stringify({
        apiVersion: 'kerneld/v1',
        name,
        version: '1.0.0',
        entry: 'index.mjs',
        functions: { hello: {} },
      }),
    );
    return await kernel.ctl(['module', 'install', directory, '--json']);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
