/** The kernel under its operator's hands: commands, exit codes, HTTP, the socket's modes, start and end. */
import { existsSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Status } from '../../Kernel/contract/operations/shapes.ts';
import { COMPONENTS } from '../../Kernel/manifest.ts';
import {
  ENGINE_HOST,
  containersOf,
  eventually,
  fastConfig,
  startKernel,
  type KernelUnderTest,
} from '../support/kernel.ts';

let kernel: KernelUnderTest;
const install = () =>
  kernel.install({
    name: 'worker',
    code: `export const quick = () => 'quick';
export const slow = async ({ ms }) => { await new Promise((resolve) => setTimeout(resolve, ms)); return 'slow'; };`,
    functions: { quick: {}, slow: {} },
  });
beforeAll(async () => {
  kernel = await startKernel();
  await install();
});
afterAll(async () => {
  await kernel?.[Symbol.asyncDispose]();
});

type Answer = { status: number; headers: Record<string, unknown>; body: unknown };
type Failure = { readonly error: { readonly code: string; readonly message: string } };
const http = (method: string, path: string, body?: string): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const outgoing = request(
      {
        socketPath: kernel.operatorSocket,
        method,
        path,
        agent: false,
        headers: { 'content-type': 'application/json' },
      },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () =>
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            body: text === '' ? null : (JSON.parse(text) as unknown),
          }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
const json = async (args: readonly string[]): Promise<unknown> => {
  const { status, stdout, stderr } = await kernel.ctl([...args, '--json']);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as unknown;
};
const inFlight = (count: number) =>
  eventually(`${count} calls are in flight`, async () => {
    const { gate } = (await kernel.rpc('kernel.diagnostics', {})) as { gate: { inFlight: number } };
    return gate.inFlight >= count + 1;
  });

describe('commands', () => {
  it('status, with the field names that stay', async () => {
    const status = (await json(['status'])) as Status;
    expect(status).toMatchObject({
      mode: 'running',
      reason: null,
      pid: kernel.pid(),
      bootMs: expect.any(Number),
      zones: [
        { name: 'stable', state: 'ready', instances: [] },
        { name: 'sandbox', state: 'ready', instances: [{ module: 'worker', state: 'ready', restarts: 0 }] },
      ],
      modules: [
        {
          name: 'worker',
          tier: 'standard',
          phase: 'running',
          slots: { active: { version: '1.0.0', digest: expect.any(String) }, fallback: null, next_stable: null },
        },
      ],
    });
    expect(status.zones[1]?.instances[0]?.pid).toBe(await kernel.instancePid('worker'));
  });

  it('zone ls, inspect, stop, start and restart', async () => {
    expect(await json(['zone', 'ls'])).toMatchObject([
      { name: 'stable', state: 'ready' },
      { name: 'sandbox', state: 'ready', instances: 1, modules: 1 },
    ]);
    expect(await json(['zone', 'inspect', 'sandbox'])).toMatchObject({
      name: 'sandbox',
      state: 'ready',
      runtime: 'runc',
      limits: { instance: { memoryBytes: 64 * 1024 * 1024 } },
      seccomp: { profile: 'sandbox', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      probe: { passed: true },
      instances: [
        { module: 'worker', sizeClass: '64MiB', container: expect.any(String), uptimeMs: expect.any(Number) },
      ],
      units: [{ module: 'worker', index: 0, state: 'running', restarts: 0, lastExit: null }],
    });
    expect(await json(['zone', 'stop', 'sandbox'])).toMatchObject({ zone: 'sandbox', state: 'stopped' });
    expect(await containersOf(kernel.homeId(), ENGINE_HOST)).toEqual([]);
    expect((await kernel.status()).mode).toBe('running');
    expect(await json(['zone', 'stop', 'sandbox'])).toMatchObject({ state: 'stopped' });
    expect(await json(['zone', 'start', 'sandbox'])).toMatchObject({ state: 'ready' });
    expect(await kernel.call('worker', 'quick')).toBe('quick');
    const pid = await kernel.instancePid('worker');
    expect(await json(['zone', 'restart', 'sandbox'])).toMatchObject({ state: 'ready' });
    expect(await kernel.instancePid('worker')).not.toBe(pid);
  });

  it('module ls and show', async () => {
    expect(await json(['module', 'ls'])).toMatchObject([{ name: 'worker', zone: 'sandbox', phase: 'running' }]);
    expect(await json(['module', 'show', 'worker'])).toMatchObject({
      name: 'worker',
      signed: false,
      functions: [{ name: 'quick' }, { name: 'slow' }],
    });
  });

  it('doctor, each check with what was seen', async () => {
    const { stdout, status } = await kernel.ctl(['doctor', '--json']);
    const { ok, checks } = JSON.parse(stdout) as {
      ok: boolean;
      checks: { name: string; status: string; observed: string; remedy: string | null }[];
    };
    expect(status).toBe(ok ? 0 : 1);
    expect(checks.length).toBeGreaterThanOrEqual(7);
    for (const check of checks) {
      expect(check.observed).not.toBe('');
      if (check.status !== 'ok') expect(check.remedy).toEqual(expect.any(String));
    }
    expect(checks.filter((check) => check.status === 'failed')).toEqual([]);
  });

  it('events, in boot order, and live with -f', async () => {
    const events = (await json(['events', '-n', '1000'])) as {
      kind: string;
      reason: string;
      seq: number;
      zone?: string;
    }[];
    const at = (kind: string, reason?: string): number =>
      events.findIndex((event) => event.kind === kind && (reason === undefined || event.reason === reason));
    // Those before the log are told too: the journal is older than any component.
    const boot = COMPONENTS.map(({ name }) => at('component.up', name));
    expect(boot).not.toContain(-1);
    expect(boot).toEqual(boot.toSorted((a, b) => a - b));
    expect(at('kernel.handover')).toBeGreaterThan(boot.at(-1)!);
    expect(at('zone.starting')).toBeGreaterThan(at('kernel.handover'));
    expect(at('zone.ready')).toBeGreaterThan(at('zone.starting'));
    expect(at('kernel.running')).toBeGreaterThan(at('zone.ready'));
    expect(at('module.installed')).toBeGreaterThan(at('kernel.running'));
    for (const { reason } of events) expect(reason).not.toBe('');

    const following = kernel.ctl(['events', '-f', '-n', '0', '--json'], { timeoutMs: 1_500 });
    await eventually(
      'it follows',
      async () => ((await kernel.rpc('kernel.diagnostics', {})) as { gate: { inFlight: number } }).gate.inFlight >= 2,
    );
    await kernel.rpc('module.restart', { module: 'worker' });
    const lines = (await following).stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string });
    expect(lines.map(({ kind }) => kind)).toContain('instance.ready');
  });

  it('exit with 1 when refused, 2 on wrong usage, 3 without a kernel; never with a stack', async () => {
    const statuses = await Promise.all(
      [
        ['module', 'call', 'nobody', 'f'],
        ['module', 'show', 'nobody'],
        ['zone', 'inspect', 'nowhere'],
        ['no-such-command'],
        ['module', 'call'],
        ['status', '--no-such-option'],
        ['--socket', join(kernel.home, 'none.sock'), 'status'],
      ].map(async (args) => {
        const { status, stdout, stderr } = await kernel.ctl(args);
        expect(stdout + stderr).not.toMatch(/\n\s+at /);
        expect(stdout + stderr).not.toBe('');
        return status;
      }),
    );
    expect(statuses).toEqual([1, 1, 2, 2, 2, 2, 3]);
    const { status, stdout } = await kernel.ctl(['--socket', join(kernel.home, 'none.sock'), 'status', '--json']);
    expect({ status, code: (JSON.parse(stdout) as Failure).error.code }).toEqual({ status: 3, code: 'NO_KERNEL' });
  });

  it('print for people in 80 columns, without colours when there is no terminal', async () => {
    for (const args of [
      ['status'],
      ['zone', 'ls'],
      ['zone', 'inspect', 'sandbox'],
      ['module', 'ls'],
      ['doctor'],
      ['config', 'show'],
      ['events'],
    ]) {
      const { stdout } = await kernel.ctl(args, { env: { NO_COLOR: '' } });
      expect(stdout).not.toContain('\u001B');
      for (const line of stdout.split('\n')) expect(line.length, `${args.join(' ')}: ${line}`).toBeLessThanOrEqual(80);
    }
  });
});

describe('the operator socket', () => {
  it('is for its owner only', () => {
    expect(statSync(kernel.operatorSocket).mode & 0o777).toBe(0o600);
  });

  it('answers GET /healthz, /readyz and /diagz', async () => {
    expect(await http('GET', '/healthz')).toMatchObject({ status: 200, body: { ok: true } });
    expect(await http('GET', '/readyz')).toMatchObject({ status: 200, body: { ok: true, mode: 'running' } });
    const { status, body } = await http('GET', '/diagz');
    expect(status).toBe(200);
    expect(Object.keys(body as object).length).toBeGreaterThan(3);
    expect((await http('GET', '/nothing')).status).toBe(404);
    expect((await http('POST', '/healthz')).status).toBe(405);
  });

  it('takes one request as POST /rpc', async () => {
    const ask = (frame: unknown) => http('POST', '/rpc', typeof frame === 'string' ? frame : JSON.stringify(frame));
    expect(
      await ask({
        jsonrpc: '2.0',
        id: 7,
        method: 'module.call',
        params: { module: 'worker', function: 'quick', params: {} },
      }),
    ).toMatchObject({
      status: 200,
      body: { jsonrpc: '2.0', id: 7, result: 'quick' },
    });
    expect(await ask({ jsonrpc: '2.0', id: 8, method: 'no.such', params: {} })).toMatchObject({
      body: { id: 8, error: { code: -32601, data: { code: 'METHOD_NOT_FOUND' } } },
    });
    expect(
      await ask({ jsonrpc: '2.0', id: 9, method: 'zone.inspect', params: { zone: 'nowhere', more: 1 } }),
    ).toMatchObject({ body: { id: 9, error: { data: { code: 'INVALID_PARAMS' } } } });
    expect(await ask('{')).toMatchObject({ status: 400, body: { error: { data: { code: 'PARSE_ERROR' } } } });
    expect(await ask({ jsonrpc: '2.0', method: 'kernel.status' })).toMatchObject({ status: 400 });
    const events = await ask({ jsonrpc: '2.0', id: 10, method: 'event.follow', params: { limit: 2 } });
    expect(events.body).toMatchObject({ result: [{ seq: expect.any(Number) }, { seq: expect.any(Number) }] });
  });
});

describe('the end of a kernel', () => {
  it('SIGTERM finishes calls in flight, then ends with 0 and leaves nothing', async () => {
    const answers = [1, 2, 3].map(() => kernel.call('worker', 'slow', { ms: 900 }));
    await inFlight(3);
    const ended = kernel.terminate();
    expect(await Promise.all(answers)).toEqual(['slow', 'slow', 'slow']);
    expect(await ended).toBe(0);
    expect(await kernel.snapshot()).toMatchObject({ containers: 0, directories: 0, records: 0, sockets: 0 });
    expect(existsSync(kernel.operatorSocket)).toBe(false);
  });

  it('refuses new commands while it stops, and says so', async () => {
    await kernel.start();
    const answer = kernel.call('worker', 'slow', { ms: 900 });
    await inFlight(1);
    await using client = await kernel.client();
    const ended = kernel.terminate();
    await eventually('it is stopping', async () => (await client.call('kernel.status', {})).mode === 'stopping');
    await expect(client.call('module.call', { module: 'worker', function: 'quick', params: {} })).rejects.toMatchObject(
      { code: 'STOPPING' },
    );
    expect(await answer).toBe('slow');
    expect(await ended).toBe(0);
  });

  it('SIGINT does the same as SIGTERM', async () => {
    await kernel.start();
    const answer = kernel.call('worker', 'slow', { ms: 600 });
    await inFlight(1);
    process.kill(kernel.pid(), 'SIGINT');
    expect(await answer).toBe('slow');
    expect(await kernel.exited()).toBe(0);
    expect(await containersOf(kernel.homeId(), ENGINE_HOST)).toEqual([]);
  });

  it('with onTerminate: leave, finishes calls in flight and leaves the containers to the next kernel', async () => {
    kernel.writeConfig(fastConfig('lifecycle: { onTerminate: leave }\ncontrol: { group: nogroup }\n'));
    await kernel.start();
    const pid = await kernel.instancePid('worker');
    const answer = kernel.call('worker', 'slow', { ms: 900 });
    answer.catch(() => undefined);
    await inFlight(1);
    const ended = kernel.terminate();
    expect(await answer).toBe('slow');
    expect(await ended).toBe(0);
    expect((await containersOf(kernel.homeId(), ENGINE_HOST)).map(({ State }) => State)).toEqual(['running']);
    expect(() => process.kill(pid, 0)).not.toThrow();
    await kernel.start();
    expect(await kernel.instancePid('worker')).toBe(pid);
    expect(await kernel.call('worker', 'quick')).toBe('quick');
    expect((await kernel.status()).zones[1]?.instances[0]).toMatchObject({ restarts: 0 });
  });

  it('opens the socket to a group that the configuration names', async () => {
    // The kernel of the test before was started with it.
    const { mode, gid } = statSync(kernel.operatorSocket);
    expect(mode & 0o777).toBe(0o660);
    expect(gid).toBe(65_534);
    expect((await kernel.status()).mode).toBe('running');
  });

  it('refuses a second kernel on the same home', async () => {
    const { run, PROJECT } = await import('../support/kernel.ts');
    const second = await run(process.execPath, [join(PROJECT, 'daemon/kerneld.mjs')], {
      env: { KERNELD_HOME: kernel.home, DOCKER_HOST: ENGINE_HOST },
      timeoutMs: 10_000,
    });
    expect(second.status).toBe(1);
    expect(second.stdout + second.stderr).toContain('HOME_LOCKED');
    expect(await kernel.call('worker', 'quick')).toBe('quick');
  });
});
