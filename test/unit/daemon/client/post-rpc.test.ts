import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { postRpc } from '../../../../daemon/client/post-rpc.ts';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import { startSmallKernel, until } from './small-kernel.ts';

const health = { ok: true, mode: 'running', reasons: ['größer · 大'] };

describe('postRpc', () => {
  it('gives the result', async () => {
    await using kernel = await startSmallKernel({ answers: { 'kernel.health': () => health } });
    expect(await postRpc(kernel.socketPath, 'kernel.health', {})).toEqual(health);
    expect(kernel.heard).toEqual([{ jsonrpc: '2.0', id: 1, method: 'kernel.health', params: {} }]);
  });

  it('gives a large result whole', async () => {
    const large = 'ü'.repeat(2_000_000);
    await using kernel = await startSmallKernel({ answers: { 'module.call': () => large } });
    expect(await postRpc(kernel.socketPath, 'module.call', { module: 'm', function: 'f', params: large })).toBe(large);
  });

  it('rebuilds the error that the kernel answers', async () => {
    await using kernel = await startSmallKernel({
      answers: {
        'kernel.health': () => {
          throw new KernelError('STOPPING', 'the kernel is stopping');
        },
      },
    });
    await expect(postRpc(kernel.socketPath, 'kernel.health', {})).rejects.toMatchObject({ code: 'STOPPING' });
  });

  it('reads the plain error body of other routes', async () => {
    await using kernel = await startSmallKernel({
      http: {
        status: 503,
        body: '{"error":{"code":"LIMIT_EXCEEDED","message":"too many connections","retryAfterMs":100}}',
      },
    });
    await expect(postRpc(kernel.socketPath, 'kernel.health', {})).rejects.toMatchObject({
      code: 'LIMIT_EXCEEDED',
      retryAfterMs: 100,
    });
  });

  it.each([
    [200, 'PROTOCOL'],
    [404, 'PROTOCOL'],
    [502, 'UNAVAILABLE'],
  ])('takes status %i without a reply for %s', async (status, code) => {
    await using kernel = await startSmallKernel({ http: { status, body: '<html>' } });
    await expect(postRpc(kernel.socketPath, 'kernel.health', {})).rejects.toMatchObject({ code });
  });

  it('closes the connection when its signal is aborted, which cancels the call', async () => {
    let cancelled = false;
    await using kernel = await startSmallKernel({
      answers: {
        'module.call': (_, signal) =>
          new Promise(() =>
            signal.addEventListener('abort', () => {
              cancelled = true;
            }),
          ),
      },
    });
    const abort = new AbortController();
    const call = postRpc(
      kernel.socketPath,
      'module.call',
      { module: 'm', function: 'f', params: null },
      { signal: abort.signal },
    );
    const refused = expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
    await until(() => kernel.heard.length === 1);
    abort.abort();
    await refused;
    await until(() => cancelled);
  });

  it('ends at its time limit', async () => {
    await using kernel = await startSmallKernel({ answers: { 'kernel.health': () => new Promise(() => {}) } });
    await expect(postRpc(kernel.socketPath, 'kernel.health', {}, { timeoutMs: 30 })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
  });

  it('says NO_KERNEL where no socket is', async () => {
    await expect(postRpc('/tmp/no such kernel.sock', 'kernel.health', {})).rejects.toMatchObject({ code: 'NO_KERNEL' });
  });
});

describe('a listener that is no kernel', () => {
  const against = async (serve: (socket: Socket) => void): Promise<unknown> => {
    const directory = await mkdtemp(join(tmpdir(), 'nk-'));
    const open = new Set<Socket>();
    const server = createServer((socket) => {
      open.add(socket);
      socket.on('error', () => {});
      serve(socket);
    }).listen(join(directory, 's'));
    try {
      await new Promise((resolve) => server.once('listening', resolve));
      return await postRpc(join(directory, 's'), 'kernel.health', {}, { timeoutMs: 1000 }).catch(
        (error: unknown) => error,
      );
    } finally {
      for (const socket of open) socket.destroy();
      server.close();
      await rm(directory, { recursive: true, force: true });
    }
  };

  it.each<[string, (socket: Socket) => void, string]>([
    ['hangs up', (socket) => socket.once('data', () => socket.end()), 'UNAVAILABLE'],
    [
      'hangs up in the middle of the body',
      (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"json'),
      'UNAVAILABLE',
    ],
    ['greets like another protocol', (socket) => socket.write('220 mail.example ESMTP\r\n'), 'PROTOCOL'],
    ['sends a head without end', (socket) => socket.write(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}`), 'PROTOCOL'],
    [
      'chunks against the rules of HTTP/1.0',
      (socket) => socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
      'PROTOCOL',
    ],
    ['never answers', () => {}, 'DEADLINE_EXCEEDED'],
  ])('that %s gives a closed code', async (_, serve, code) => {
    expect(await against(serve)).toMatchObject({ code });
  });

  it('may end its body by closing, and may send it byte by byte', async () => {
    const answer = 'HTTP/1.0 200 OK\r\n\r\n{"jsonrpc":"2.0","id":1,"result":{"ok":true}}';
    const result = await against((socket) => {
      let at = 0;
      const timer = setInterval(() => {
        if (at < answer.length) socket.write(answer.charAt(at++));
        else {
          clearInterval(timer);
          socket.end();
        }
      }, 1);
    });
    expect(result).toEqual({ ok: true });
  });
});
