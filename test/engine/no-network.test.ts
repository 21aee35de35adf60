/** The kernel speaks to nobody: it works whole where there is no network, and where only Unix sockets may be made. */
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { namespaceOf, procStatus, PROJECT, run, startKernel } from '../support/kernel.ts';
import { counterModule, crash } from '../support/probe-module.ts';
import { expectSame, restingSnapshot } from '../support/same-as-before.ts';

const NO_INTERFACES = ['unshare', '-n'];
const UNIX_ONLY = [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  join(PROJECT, 'test/support/unix-only.mjs'),
];

/** What comes of each kind of socket. */
const TRY = `
const net = require('node:net'); const dgram = require('node:dgram'); const os = require('node:os'); const path = require('node:path');
const outcome = (make) => new Promise((done) => { try { make(done); } catch (error) { done(error.code ?? error.message); } });
(async () => {
  const tcp = (host) => outcome((done) => net.connect({ host, port: 9 }).on('error', (e) => done(e.code)).on('connect', () => done('connected')));
  const udp = (kind) => outcome((done) => { const s = dgram.createSocket(kind); s.on('error', (e) => done(e.code)); s.bind(0, () => { s.close(); done('bound'); }); });
  const file = path.join(os.tmpdir(), 'try-' + process.pid + '.sock');
  const unix = outcome((done) => { const s = net.createServer().listen(file, () => { s.close(); done('listening'); }); s.on('error', (e) => done(e.code)); });
  console.log(JSON.stringify({ tcp4: await tcp('127.0.0.1'), tcp6: await tcp('::1'), outside: await tcp('192.0.2.1'), udp4: await udp('udp4'), unix: await unix }));
})();`;

const trySockets = async (through: readonly string[]): Promise<Record<string, string>> => {
  const command = [...through, process.execPath, '-e', TRY];
  const { status, stdout, stderr } = await run(command[0]!, command.slice(1), { timeoutMs: 15_000 });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Record<string, string>;
};

const wholeLife = async (through: readonly string[], check: (pid: number) => void): Promise<void> => {
  await using kernel = await startKernel({ through });
  check(kernel.pid());
  const status = await kernel.status();
  expect(status.mode).toBe('running');
  expect(status.zones.map(({ state }) => state)).toEqual(['ready', 'ready']);
  await kernel.install(counterModule('one', { zone: 'stable' }));
  await kernel.install(counterModule('two', { zone: 'sandbox' }));
  expect([await kernel.call('one', 'count'), await kernel.call('two', 'count')]).toEqual([1, 1]);
  const snapshot = await restingSnapshot(kernel);
  await crash(kernel, 'one');
  expect(await kernel.call('one', 'count')).toBe(1);
  const pid = await kernel.instancePid('two');
  await kernel.kill9();
  await kernel.start();
  check(kernel.pid());
  expect(await kernel.instancePid('two')).toBe(pid);
  expect(await kernel.call('two', 'count')).toBe(2);
  const doctor = await kernel.ctl(['doctor', '--json']);
  expect(doctor, doctor.stdout).toMatchObject({ status: 0 });
  await kernel.rpc('kernel.diagnostics', {});
  await expectSame(kernel, snapshot);
  expect(await kernel.terminate()).toBe(0);
};

describe('in a network namespace without interfaces', () => {
  it('there is no way out, which the same program without it has', async () => {
    expect(await trySockets([])).toMatchObject({ tcp4: 'ECONNREFUSED', udp4: 'bound', unix: 'listening' });
    // Even loopback is down.
    expect(await trySockets(NO_INTERFACES)).toMatchObject({
      tcp4: 'ENETUNREACH',
      outside: 'ENETUNREACH',
      unix: 'listening',
    });
  });

  it('the kernel boots, installs, calls, survives crashes and is adopted from', async () => {
    const own = readlinkSync('/proc/self/ns/net');
    await wholeLife(NO_INTERFACES, (pid) => expect(namespaceOf(pid, 'net')).not.toBe(own));
  });
});

describe('under a filter that allows only AF_UNIX', () => {
  it('other sockets cannot be made, which the same program without it can', async () => {
    expect(await trySockets(UNIX_ONLY)).toEqual({
      tcp4: 'EPERM',
      tcp6: 'EPERM',
      outside: 'EPERM',
      udp4: 'EPERM',
      unix: 'listening',
    });
  });

  it('the kernel boots, installs, calls, survives crashes and is adopted from', async () => {
    await wholeLife(UNIX_ONLY, (pid) => {
      expect(procStatus(pid, 'Seccomp')).toBe('2');
      expect(procStatus(pid, 'NoNewPrivs')).toBe('1');
    });
  });
});
