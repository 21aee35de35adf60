/**
 * Isolation on the real engine (KERNELD_TEST_ENGINE or DOCKER_HOST; without one this fails): what each zone refuses,
 * what the two differ in, and what the host sees of an instance.
 */
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ZONE_NAMES } from '../../Kernel/contract/ids.ts';
import type { ContainerId, HomeId, InstanceId, ZoneName } from '../../Kernel/contract/ids.ts';
import type { Clock, ContainerFacts, ContainerSpec, EngineEvent, Log } from '../../Kernel/contract/ports.ts';
import { createDockerEngine } from '../../zones/docker/docker-engine.ts';
import { bundleAgent } from '../../zones/image/agent-bundle.ts';
import { ensureZoneImage } from '../../zones/image/zone-image.ts';
import { planInstanceSpec } from '../../zones/instance-spec/instance-spec.plan.ts';
import { runProbe } from '../../zones/probe/run-probe.ts';
import { ALLOWLISTS } from '../../zones/seccomp/allowlists.ts';
import { compileProfile, formatProfile } from '../../zones/seccomp/compile.plan.ts';
import { DENY_TABLE } from '../../zones/seccomp/deny-table.ts';
import { chooseUid } from '../../zones/uids/uid-lease.verdict.ts';

const host = process.env['KERNELD_TEST_ENGINE'] ?? process.env['DOCKER_HOST'];
if (host === undefined)
  throw new Error('set KERNELD_TEST_ENGINE=unix:///path/to/docker.sock: these tests need a container engine');

const MIB = 1024 * 1024;
const clock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (delayMs, fn) => {
    const timer = setTimeout(fn, delayMs);
    return () => clearTimeout(timer);
  },
};
const log: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  critical: () => {},
  child: () => log,
};
const engine = createDockerEngine({ host, clock, log, requestTimeoutMs: 30_000 });
const signal = AbortSignal.timeout(15 * 60_000);
const home = randomBytes(6).toString('hex') as HomeId;
const projectDirectory = join(import.meta.dirname, '../..');
// Not under os.tmpdir() of the test runner's choice alone: the engine must see the same path.
const work = mkdtempSync('/tmp/kerneld-isolation-');
const profileOf = (zone: ZoneName): string =>
  readFileSync(join(projectDirectory, `config/seccomp/${zone}.json`), 'utf8');
let image = '';

beforeAll(async () => {
  chmodSync(work, 0o711);
  const bundle = { projectDirectory, cacheDirectory: join(work, 'cache'), signal };
  const probe = await bundleAgent({ entry: 'zones/probe/probe.ts', ...bundle });
  const options = {
    images: engine.images,
    nodePath: process.execPath,
    agent: Buffer.from(`setInterval(() => {}, 1000); // ${home}`),
    probe,
    cacheDirectory: bundle.cacheDirectory,
    clock,
    log,
    buildTimeoutMs: 120_000,
  };
  const built = await ensureZoneImage(options, signal);
  image = built.tag;
  expect(built.built).toBe(true);
  expect(await ensureZoneImage(options, signal)).toMatchObject({ tag: image, built: false });
});

afterAll(async () => {
  const left = await engine.list(home, signal);
  await Promise.all(left.map(({ container }) => engine.remove(container, signal)));
  if (image !== '') await engine.images.remove(image, signal);
  rmSync(work, { recursive: true, force: true });
  expect(left.map(({ state }) => state)).toEqual([]);
});

let lastUid: number | null = null;
const newSpec = async (zone: ZoneName, change: Partial<ContainerSpec> = {}): Promise<ContainerSpec> => {
  const leased = await engine.leasedUids(signal);
  const choice = chooseUid({ first: 280_000, last: 280_999 }, (uid) => leased.has(uid), lastUid);
  if (!choice.ok) throw new Error(choice.reason);
  lastUid = choice.uid;
  const instance = `i-${randomBytes(6).toString('hex')}` as InstanceId;
  const directory = join(work, instance);
  mkdirSync(directory);
  chmodSync(directory, 0o711);
  const template = planInstanceSpec(
    home,
    {
      zone,
      image,
      runtime: '',
      memoryBytes: 64 * MIB,
      cpus: 1,
      pids: 64,
      nofile: 256,
      tmpBytes: 4 * MIB,
      moduleTmpBytes: 4 * MIB,
      seccompProfile: profileOf(zone),
      orphanTimeoutMs: 60_000,
    },
    (text) => createHash('sha256').update(text).digest('hex'),
  );
  return { ...template, instance, directory, uid: choice.uid, ...change };
};

const withContainer = async <T>(spec: ContainerSpec, use: (container: ContainerId) => Promise<T>): Promise<T> => {
  const container = await engine.create(spec, signal);
  try {
    return await use(container);
  } finally {
    await engine.remove(container, signal);
  }
};

const waitForExit = async (container: ContainerId): Promise<ContainerFacts> => {
  for (let attempt = 0; attempt < 1000; attempt += 1) {
    const facts = await engine.inspect(container, signal);
    if (facts?.exit) return facts;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('the container did not end');
};

/** Runs a script in a zone without Node's own restrictions, so that only the system refuses, and gives what it printed. */
const runScript = async (zone: ZoneName, script: string, change: Partial<ContainerSpec> = {}): Promise<string> =>
  withContainer(
    await newSpec(zone, {
      command: ['/usr/bin/node', '--disable-warning=ExperimentalWarning', '-e', script],
      ...change,
    }),
    async (container) => {
      await engine.start(container, signal);
      await waitForExit(container);
      return engine.startupOutput(container, 65_536, signal);
    },
  );

/** Runs each expression in a zone; gives `ok` or the error of each. */
const tryEach = async (zone: ZoneName, attempts: Readonly<Record<string, string>>): Promise<Record<string, string>> => {
  const script = `
    const fs = require('node:fs'), cp = require('node:child_process');
    const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    const seen = {};
    for (const [name, attempt] of [${Object.entries(attempts)
      .map(([name, body]) => `[${JSON.stringify(name)}, () => { ${body} }]`)
      .join(', ')}]) {
      try { seen[name] = String(attempt() ?? 'ok'); } catch (error) { seen[name] = error.code ?? error.message; }
    }
    fs.writeSync(1, JSON.stringify(seen)); process.exit(0);`;
  return JSON.parse(await runScript(zone, script)) as Record<string, string>;
};

type RawInspect = { Name: string; HostConfig: Record<string, unknown>; Config: Record<string, unknown> };
const inspectRaw = (container: ContainerId): Promise<RawInspect> =>
  new Promise((resolve, reject) => {
    request({ socketPath: engine.socketPath, path: `/containers/${container}/json` }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += String(chunk))).on('end', () => resolve(JSON.parse(text) as RawInspect));
    })
      .on('error', reject)
      .end();
  });

describe.each(ZONE_NAMES)('the probe in %s', (zone) => {
  it('finds every refusal and every fact as they must be, and leaves nothing behind', async () => {
    const report = await runProbe({ engine, clock, spec: await newSpec(zone), timeoutMs: 20_000 }, signal);
    expect(report.checks.filter((check) => !check.passed)).toEqual([]);
    expect(report).toMatchObject({ zone, passed: true });
    for (const { syscall, errno } of DENY_TABLE.never) {
      const observed = report.checks.find((check) => check.name === syscall)?.observed;
      expect([syscall, observed === 'absent' ? errno : observed]).toEqual([syscall, errno]);
    }
    const differences = report.checks.filter(({ why }) => why.startsWith('stable may, sandbox may not'));
    expect(differences.length).toBeGreaterThanOrEqual(9);
    for (const { name, observed } of differences)
      expect([name, observed === 'EPERM'], name).toEqual([name, zone === 'sandbox']);
    expect(await engine.list(home, signal)).toEqual([]);
  });
});

describe('the probe', () => {
  it('does not pass a zone whose profile allows everything, and names what got through', async () => {
    const spec = await newSpec('stable', { seccompProfile: '{"defaultAction":"SCMP_ACT_ALLOW"}' });
    const report = await runProbe({ engine, clock, spec, timeoutMs: 20_000 }, signal);
    expect(report.passed).toBe(false);
    const failed = report.checks.filter((check) => !check.passed).map(({ name }) => name);
    expect(failed).toEqual(
      expect.arrayContaining([
        'clone3',
        'unshare',
        'keyctl',
        'socket(AF_INET)',
        'clone(NEWUSER)',
        'io_uring_setup',
        'memfd_create',
      ]),
    );
  });

  it('does not pass a zone whose profile was traced naively: what was seen is allowed, and clone3 with it', async () => {
    const traced = compileProfile([...ALLOWLISTS.stable, { names: ['clone3'], why: 'seen in a trace' }], {
      never: [],
      only: [],
    });
    const report = await runProbe(
      { engine, clock, spec: await newSpec('stable', { seccompProfile: formatProfile(traced) }), timeoutMs: 20_000 },
      signal,
    );
    const failed = report.checks.filter((check) => !check.passed).map(({ name }) => name);
    expect(failed).toEqual(expect.arrayContaining(['clone3', 'clone(NEWUSER)', 'socket(AF_VSOCK)']));
    expect(failed, JSON.stringify(report.checks.slice(0, 2))).not.toContain('unshare');
  });

  it('does not pass a zone under the profile of the other', async () => {
    const spec = await newSpec('sandbox', { seccompProfile: profileOf('stable') });
    const report = await runProbe({ engine, clock, spec, timeoutMs: 20_000 }, signal);
    expect(report.passed).toBe(false);
  });

  it('that is late or crashes has not passed, and its container is removed', async () => {
    const late = await runProbe({ engine, clock, spec: await newSpec('stable'), timeoutMs: 1 }, signal);
    expect(late).toMatchObject({
      passed: false,
      checks: [{ name: 'probe', observed: expect.stringContaining('no end within 1 ms') }],
    });
    const crashed = await runProbe(
      { engine, clock, spec: await newSpec('stable', { memoryBytes: 8 * MIB }), timeoutMs: 20_000 },
      signal,
    );
    expect(crashed.passed).toBe(false);
    expect(await engine.list(home, signal)).toEqual([]);
  });
});

describe('the differences between the zones, in ordinary code', () => {
  const attempts = {
    'start-process': `const child = cp.spawnSync(process.execPath, ['-e', '0']); if (child.error) throw child.error; return child.status;`,
    'send-signal': `
      const child = cp.spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
      if (child.pid === undefined) return process.kill(process.pid, 0);
      process.kill(child.pid, 'SIGSTOP'); sleep(50);
      return fs.readFileSync('/proc/' + child.pid + '/stat', 'utf8').split(' ')[2];`,
    'file-lock': `const { DatabaseSync } = require('node:sqlite'); new DatabaseSync('/tmp/db').exec('create table a (b); insert into a values (1)');`,
    'watch-files': `fs.watch('/tmp').close();`,
  };

  it('work in stable: a process, SIGSTOP to a sibling, a database with locks, watching files', async () => {
    expect(await tryEach('stable', attempts)).toEqual({
      'start-process': '0',
      'send-signal': 'T',
      'file-lock': 'ok',
      'watch-files': 'ok',
    });
  });

  it('are refused in sandbox', async () => {
    const seen = await tryEach('sandbox', attempts);
    expect(seen).toMatchObject({ 'start-process': 'EPERM', 'send-signal': 'EPERM', 'watch-files': 'EPERM' });
    expect(seen['file-lock']).toMatch(/ERR_SQLITE_ERROR/);
  });
});

describe.each(ZONE_NAMES)('an instance in %s', (zone) => {
  it('has no shell, executes nothing it wrote, and writes no more than its tmpfs hold', async () => {
    const seen = await tryEach(zone, {
      programs: `return fs.readdirSync('/usr/bin').concat(fs.existsSync('/bin') ? fs.readdirSync('/bin') : []);`,
      execute: `fs.writeFileSync('/tmp/x', '#!/usr/bin/node', { mode: 0o755 }); const child = cp.spawnSync('/tmp/x'); if (child.error) throw child.error;`,
      fill: `fs.writeFileSync('/tmp/full', Buffer.alloc(5 * 1024 * 1024));`,
      replaceSocket: `fs.writeFileSync('/run/kerneld/agent.sock', '');`,
      sharedMemory: `fs.readdirSync('/dev/shm');`,
      files: `const open = []; for (let i = 0; i < 1000; i += 1) open.push(fs.openSync('/dev/null'));`,
    });
    expect(seen).toEqual({
      programs: 'node',
      execute: zone === 'stable' ? 'EACCES' : 'EPERM',
      fill: 'ENOSPC',
      replaceSocket: 'EROFS',
      sharedMemory: 'ENOENT',
      files: 'EMFILE',
    });
  });

  it('is seen by the host without capabilities, filtered, in namespaces of its own', async () => {
    await withContainer(await newSpec(zone), async (container) => {
      await engine.start(container, signal);
      const facts = await engine.inspect(container, signal);
      const status = readFileSync(`/proc/${facts?.pid}/status`, 'utf8');
      expect(status).toMatch(/^CapEff:\t0{16}$/m);
      expect(status).toMatch(/^CapBnd:\t0{16}$/m);
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      expect(status).toMatch(/^Seccomp:\t2$/m);
      expect(status).toMatch(new RegExp(`^Uid:\t${facts?.uid}\t`, 'm'));
      const devices = readFileSync(`/proc/${facts?.pid}/net/dev`, 'utf8')
        .split('\n')
        .slice(2)
        .filter((line) => line.trim() !== '');
      expect(devices.map((line) => line.split(':')[0]?.trim())).toEqual(['lo']);
      const isolation = await engine.isolation(container, signal);
      expect(isolation).toMatchObject({
        networkMode: 'none',
        capabilities: '0000000000000000',
        noNewPrivileges: true,
        seccompMode: 2,
        readonlyRootfs: true,
      });
      for (const name of ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'uts']) {
        expect(isolation?.namespaces[name], name).toMatch(/^\w+:\[\d+\]$/);
        expect(isolation?.namespaces[name], name).not.toBe(readlinkSync(`/proc/self/ns/${name}`));
      }
    });
  });

  it('is created with every limit', async () => {
    const spec = await newSpec(zone);
    await withContainer(spec, async (container) => {
      const { Name, HostConfig, Config } = await inspectRaw(container);
      expect(Name).toBe(`/kerneld-${spec.uid}`);
      expect(HostConfig).toMatchObject({
        Memory: 64 * MIB,
        MemorySwap: 64 * MIB,
        NanoCpus: 1e9,
        PidsLimit: 64,
        IpcMode: 'none',
        CgroupnsMode: 'private',
        NetworkMode: 'none',
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        RestartPolicy: { Name: 'no' },
        Privileged: false,
        LogConfig: { Type: 'json-file', Config: { 'max-size': '64k', 'max-file': '1' } },
        Binds: [`${spec.directory}:/run/kerneld:ro`],
      });
      expect(HostConfig['Init'] ?? false).toBe(false);
      expect(HostConfig['CapAdd'] ?? []).toEqual([]);
      expect(Config['Labels']).toEqual({
        'kerneld.home': home,
        'kerneld.zone': zone,
        'kerneld.instance': spec.instance,
        'kerneld.spec': spec.specDigest,
        'kerneld.uid': String(spec.uid),
        'kerneld.class': '64MiB',
      });
      const limits = await engine.start(container, signal).then(() => engine.inspect(container, signal));
      expect(readFileSync(`/proc/${limits?.pid}/limits`, 'utf8')).toMatch(/^Max core file size\s+0\s+0/m);
    });
  });
});

describe('the lease of a uid', () => {
  it('is atomic: a second container with it is UID_UNAVAILABLE until the first is removed', async () => {
    const spec = await newSpec('stable');
    await withContainer(spec, async () => {
      expect(await engine.leasedUids(signal)).toContain(spec.uid);
      await expect(engine.create({ ...spec, home: 'ffffffffffff' as HomeId }, signal)).rejects.toMatchObject({
        code: 'UID_UNAVAILABLE',
      });
    });
    expect(await engine.leasedUids(signal)).not.toContain(spec.uid);
    await withContainer(spec, async () => {});
  });
});

describe('the engine', () => {
  it('reports deaths and out of memory as events, and the cause at inspection', async () => {
    const events: EngineEvent[] = [];
    const ending = new AbortController();
    const opened = Promise.withResolvers<void>();
    const following = engine.follow(home, opened.resolve, (event) => events.push(event), ending.signal);
    await Promise.race([opened.promise, following]);
    const hog = `const kept = []; for (;;) kept.push(Buffer.alloc(1024 * 1024, 1));`;
    const oom = await withContainer(
      await newSpec('stable', { command: ['/usr/bin/node', '-e', hog] }),
      async (container) => {
        await engine.start(container, signal);
        return waitForExit(container);
      },
    );
    expect(oom.exit).toMatchObject({ oomKilled: true, exitCode: 137, signal: 'SIGKILL' });
    const killed = await withContainer(await newSpec('stable'), async (container) => {
      await engine.start(container, signal);
      await engine.kill(container, signal);
      await engine.kill(container, signal); // "already so"
      return waitForExit(container);
    });
    expect(killed.exit).toMatchObject({ oomKilled: false, exitCode: 137 });
    await expect
      .poll(() => events)
      .toEqual(
        expect.arrayContaining([
          { kind: 'containerOom', container: oom.container },
          { kind: 'containerDied', container: oom.container, exitCode: 137 },
          { kind: 'containerDied', container: killed.container, exitCode: 137 },
        ]),
      );
    ending.abort();
    await following;
  });

  it('says IMAGE_UNAVAILABLE for an image that it does not have, and does not pull it', async () => {
    await expect(engine.create(await newSpec('stable', { image: 'kerneld-zone:none' }), signal)).rejects.toMatchObject({
      code: 'IMAGE_UNAVAILABLE',
    });
  });

  it('describes itself', async () => {
    expect(await engine.facts(signal)).toMatchObject({ seccomp: true, version: expect.stringMatching(/^\d+\./) });
  });
});
