import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createClock } from '../../../../daemon/adapters/clock.ts';
import { openControlServer } from '../../../../daemon/control/control-server.ts';
import { findGroupId } from '../../../../daemon/control/group.ts';
import { testGate } from '../../../support/gate-fixture.ts';
import { http, LIMITS, noLog, openServer, temporaryDirectory } from '../../../support/control-fixture.ts';

const open = (socketPath: string, more: object = {}) =>
  openControlServer({
    socketPath,
    socketKind: 'operator',
    mode: 0o600,
    gate: testGate().gate,
    limits: LIMITS,
    clock: createClock(),
    log: noLog,
    ...more,
  });
const modeOf = (path: string) => statSync(path).mode & 0o777;

describe('the socket file', () => {
  it('has the mode asked for, whatever the umask', async () => {
    await using served = await openServer();
    expect(modeOf(served.socketPath)).toBe(0o600);
    await using shared = await openServer({}, { mode: 0o660, group: 'daemon' });
    const stat = statSync(shared.socketPath);
    expect([stat.mode & 0o777, stat.gid]).toEqual([0o660, await findGroupId('daemon')]);
  });

  it('replaces one that a killed program left behind', async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, 'operator.sock');
    const child = spawn(process.execPath, [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`,
    ]);
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(statSync(path).isSocket()).toBe(true);
    await using server = await open(path);
    expect(await http(server.socketPath, 'GET', '/healthz')).toMatchObject({ status: 200 });
    expect(readdirSync(directory.path)).toEqual(['operator.sock']);
  });

  it('is refused while another program listens, which is not disturbed', async () => {
    await using served = await openServer();
    await expect(open(served.socketPath)).rejects.toMatchObject({
      code: 'SOCKET_UNAVAILABLE',
      message: expect.stringContaining('another program listens'),
    });
    expect(await http(served.socketPath, 'GET', '/healthz')).toMatchObject({ status: 200 });
  });

  it('never replaces what is not a socket', async () => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, 'operator.sock');
    writeFileSync(file, 'precious');
    await expect(open(file)).rejects.toMatchObject({ code: 'SOCKET_UNAVAILABLE' });
    expect(readFileSync(file, 'utf8')).toBe('precious');
    const link = join(directory.path, 'link.sock');
    symlinkSync(file, link);
    await expect(open(link)).rejects.toMatchObject({ code: 'SOCKET_UNAVAILABLE' });
    mkdirSync(join(directory.path, 'dir.sock'));
    await expect(open(join(directory.path, 'dir.sock'))).rejects.toMatchObject({ code: 'SOCKET_UNAVAILABLE' });
  });

  it('of another program is not removed on close', async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, 'operator.sock');
    const first = await open(path);
    first.stopAccepting();
    const second = await open(path);
    await first.close();
    expect(await http(path, 'GET', '/healthz')).toMatchObject({ status: 200 });
    await second.close();
    await second.close();
    expect(readdirSync(directory.path)).toEqual([]);
  });

  it('may have a path of 107 bytes and not of 108', async () => {
    await using directory = await temporaryDirectory();
    const of = (bytes: number) => join(directory.path, 'x'.repeat(bytes - Buffer.byteLength(directory.path) - 1));
    await using server = await open(of(107));
    expect(await http(server.socketPath, 'GET', '/healthz')).toMatchObject({ status: 200 });
    await expect(open(of(108))).rejects.toMatchObject({ code: 'SOCKET_PATH_TOO_LONG' });
  });

  it('that cannot be made names path and remedy, and leaves nothing behind', async () => {
    await using directory = await temporaryDirectory();
    await expect(open(join(directory.path, 'none', 'operator.sock'))).rejects.toMatchObject({
      code: 'SOCKET_UNAVAILABLE',
      message: expect.stringContaining('ENOENT'),
      remedy: expect.any(String),
    });
    await expect(open(join(directory.path, 'operator.sock'), { group: 'no-such-group' })).rejects.toMatchObject({
      code: 'SOCKET_UNAVAILABLE',
      remedy: expect.stringContaining('groupadd no-such-group'),
    });
    expect(readdirSync(directory.path)).toEqual([]);
  });

  it('keeps other users out', async () => {
    if (process.getuid?.() !== 0) return expect(process.getuid?.()).toBeGreaterThan(0);
    await using directory = await temporaryDirectory();
    chmodSync(directory.path, 0o755);
    await using server = await open(join(directory.path, 'operator.sock'));
    const attempt = `require('net').connect(${JSON.stringify(server.socketPath)}).on('connect', () => console.log('in')).on('error', (e) => console.log(e.code))`;
    const output = execFileSync('/proc/self/exe', ['-e', attempt], { uid: 65534, gid: 65534, encoding: 'utf8' });
    expect(output.trim()).toBe('EACCES');
  });
});
