/** The session that a newcomer has: both zones ready, one call, one crash survived, one kernel replaced. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, namespaceOf, procStatus, startKernel, type KernelUnderTest } from '../support/kernel.ts';

let kernel: KernelUnderTest;
beforeAll(async () => {
  kernel = await startKernel();
});
afterAll(async () => {
  await kernel[Symbol.asyncDispose]();
});

describe('the first session', () => {
  it('boots with both zones ready', async () => {
    const { status, stdout } = await kernel.ctl(['status', '--json']);
    expect(status).toBe(0);
    const report = JSON.parse(stdout) as { mode: string; zones: { name: string; state: string }[] };
    expect(report.mode).toBe('running');
    expect(report.zones.map(({ name, state }) => [name, state])).toEqual([
      ['stable', 'ready'],
      ['sandbox', 'ready'],
    ]);
  });

  it('installs the sample module and calls it', async () => {
    const installed = await kernel.ctl(['module', 'install', 'config/modules/greeter', '--zone', 'stable']);
    expect(installed).toMatchObject({ status: 0, stderr: '' });
    const called = await kernel.ctl(['module', 'call', 'greeter', 'hello', '{"name":"Ada"}']);
    expect(called).toEqual({ status: 0, stdout: '{"greeting":"Hello, Ada"}\n', stderr: '' });
    expect((await kernel.status()).modules).toMatchObject([
      { name: 'greeter', phase: 'running', signed: false, slots: { active: { version: '1.0.0' }, fallback: null } },
    ]);
  });

  it('isolates the instance: no capability, seccomp filter, no new privileges, only loopback', async () => {
    const pid = await kernel.instancePid('greeter');
    expect(procStatus(pid, 'CapEff')).toBe('0000000000000000');
    expect(procStatus(pid, 'CapBnd')).toBe('0000000000000000');
    expect(procStatus(pid, 'Seccomp')).toBe('2');
    expect(procStatus(pid, 'NoNewPrivs')).toBe('1');
    expect(Number(procStatus(pid, 'Uid')?.split('\t')[0])).toBeGreaterThan(1000);
    const interfaces = readFileSync(`/proc/${pid}/net/dev`, 'utf8')
      .split('\n')
      .slice(2)
      .flatMap((line) => line.split(':')[0]?.trim() || []);
    expect(interfaces).toEqual(['lo']);
    for (const kind of ['net', 'pid', 'mnt', 'ipc', 'uts', 'cgroup'])
      expect(namespaceOf(pid, kind)).not.toBe(namespaceOf(process.pid, kind));
  });

  it('answers again after SIGKILL of the instance, at once for whoever calls', async () => {
    const pid = await kernel.instancePid('greeter');
    process.kill(pid, 'SIGKILL');
    expect(await kernel.call('greeter', 'hello', { name: 'Bob' })).toEqual({ greeting: 'Hello, Bob' });
    expect(await kernel.instancePid('greeter')).not.toBe(pid);
    const inspected = await kernel.rpc('zone.inspect', { zone: 'stable' });
    await eventually(
      'the exit is known',
      async () => (await kernel.rpc('zone.inspect', { zone: 'stable' })).units[0]?.lastExit,
    );
    expect((await kernel.rpc('zone.inspect', { zone: 'stable' })).units[0]).toMatchObject({
      restarts: 1,
      lastExit: { cause: 'signal', oomKilled: false },
    });
    expect(inspected.probe?.passed).toBe(true);
  });

  it('adopts the instance after kill -9 of the kernel: same pid, answering', async () => {
    const pid = await kernel.instancePid('greeter');
    await kernel.kill9();
    expect(() => process.kill(pid, 0)).not.toThrow();
    await kernel.start();
    expect(await kernel.instancePid('greeter')).toBe(pid);
    expect(await kernel.call('greeter', 'hello', { name: 'Eve' })).toEqual({ greeting: 'Hello, Eve' });
    const { zones } = await kernel.status();
    expect(zones[0]?.instances[0]?.restarts).toBe(1);
  });

  it('drains and stops everything on SIGTERM and leaves nothing behind', async () => {
    expect(await kernel.terminate()).toBe(0);
    expect(await kernel.snapshot()).toMatchObject({ containers: 0, directories: 0, records: 0, mounts: 0, sockets: 0 });
  });
});
