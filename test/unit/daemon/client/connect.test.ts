import { link, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { connect } from '../../../../daemon/client/connect.ts';
import { connectError } from '../../../../daemon/client/connect-error.ts';
import { DEFAULT_TIMEOUT_MS } from '../../../../daemon/client/limits.ts';
import { STREAM_NAMES } from '../../../../daemon/client/operation-names.ts';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import { OPERATIONS } from '../../../../Kernel/contract/operations/index.ts';
import { startSmallKernel, until } from './small-kernel.ts';

const health = { ok: true, mode: 'running', reasons: [] };
const forever = (_: unknown, signal: AbortSignal) =>
  new Promise((_resolve, reject) =>
    signal.addEventListener('abort', () => reject(new KernelError('CANCELLED', 'withdrawn'))),
  );
const event = (seq: number) => ({
  seq,
  at: '2026-11-21T05:24:06.000Z',
  kind: 'test',
  severity: 'info',
  reason: `event ${seq}`,
});
async function* count(to: number) {
  for (let seq = 0; seq < to; seq += 1) yield event(seq);
}

describe('call', () => {
  it('gives the result of its own request when many are in flight', async () => {
    await using kernel = await startSmallKernel({
      answers: {
        'module.call': async ({ params }) => {
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
          return params;
        },
      },
    });
    await using client = await connect({ socketPath: kernel.socketPath });
    const asked = Array.from({ length: 50 }, (_, n) => n);
    const results = await Promise.all(
      asked.map((n) => client.call('module.call', { module: 'm', function: 'f', params: n })),
    );
    expect(results).toEqual(asked);
  });

  it('rebuilds the error that the kernel answers, with code, advice and details', async () => {
    await using kernel = await startSmallKernel({
      answers: {
        'zone.start': () => {
          throw new KernelError('ADMISSION_REFUSED', 'the pool is full', {
            retryAfterMs: 250,
            remedy: 'Stop something.',
          });
        },
      },
    });
    await using client = await connect({ socketPath: kernel.socketPath });
    await expect(client.call('zone.start', { zone: 'sandbox' })).rejects.toMatchObject({
      code: 'ADMISSION_REFUSED',
      message: 'the pool is full',
      retryAfterMs: 250,
      remedy: 'Stop something.',
    });
  });

  it('gives up after its time limit and tells the kernel to stop', async () => {
    await using kernel = await startSmallKernel({ answers: { 'kernel.health': forever } });
    await using client = await connect({ socketPath: kernel.socketPath });
    await expect(client.call('kernel.health', {}, { timeoutMs: 30 })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    await until(() => kernel.heard.some((frame) => frame.method === '$/cancel' && frame.params['id'] === 1));
  });

  it('is withdrawn by its signal, and a late reply finds nobody', async () => {
    const held: ((value: unknown) => void)[] = [];
    await using kernel = await startSmallKernel({
      answers: { 'kernel.health': () => new Promise((resolve) => held.push(resolve)), 'zone.list': () => [] },
    });
    await using client = await connect({ socketPath: kernel.socketPath });
    const abort = new AbortController();
    const call = client.call('kernel.health', {}, { signal: abort.signal });
    await until(() => held.length === 1);
    abort.abort();
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
    held[0]?.(health);
    expect(await client.call('zone.list', {})).toEqual([]);
  });

  it('is not sent at all when its signal was aborted before', async () => {
    await using kernel = await startSmallKernel({ answers: { 'kernel.health': () => health } });
    await using client = await connect({ socketPath: kernel.socketPath });
    await expect(client.call('kernel.health', {}, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    expect(kernel.heard).toEqual([]);
  });

  it.each([
    ['is cut off', (socket: { terminate(): void }) => socket.terminate(), 'UNAVAILABLE'],
    ['is closed by a stopping kernel', (socket: { close(code: number): void }) => socket.close(1001), 'STOPPING'],
    [
      'is closed for a frame over the limit',
      (socket: { close(code: number): void }) => socket.close(1009),
      'PAYLOAD_TOO_LARGE',
    ],
  ])('fails when the connection %s', async (_, end, code) => {
    await using kernel = await startSmallKernel({ raw: (socket) => end(socket) });
    await using client = await connect({ socketPath: kernel.socketPath });
    await expect(client.call('kernel.health', {})).rejects.toMatchObject({ code });
    await expect(client.call('kernel.health', {})).rejects.toMatchObject({ code });
  });

  it.each([
    ['text that is not JSON', 'nonsense'],
    ['a binary frame', Buffer.from('{}')],
    ['JSON that is no frame', '[1,2]'],
    ['progress without an id', '{"jsonrpc":"2.0","method":"$/progress","params":{}}'],
    ['items for a call', '{"jsonrpc":"2.0","method":"$/progress","params":{"id":1,"seq":0,"value":1}}'],
  ])('treats %s as a broken protocol', async (_, data) => {
    await using kernel = await startSmallKernel({ raw: (socket) => socket.send(data) });
    await using client = await connect({ socketPath: kernel.socketPath });
    const call = client.call('kernel.health', {}, { timeoutMs: 500 });
    await expect(call).rejects.toMatchObject({ code: 'PROTOCOL' });
  });

  it('leaves alone a notification that it does not know', async () => {
    await using kernel = await startSmallKernel({
      raw: (socket, { id }) => {
        socket.send('{"jsonrpc":"2.0","method":"$/news","params":{}}');
        socket.send(JSON.stringify({ jsonrpc: '2.0', id, result: health }));
      },
    });
    await using client = await connect({ socketPath: kernel.socketPath });
    expect(await client.call('kernel.health', {})).toEqual(health);
  });

  it('fails at once when the kernel could not read a frame', async () => {
    await using kernel = await startSmallKernel({
      raw: (socket) => socket.send('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not JSON"}}'),
    });
    await using client = await connect({ socketPath: kernel.socketPath });
    await expect(client.call('kernel.health', {})).rejects.toMatchObject({ code: 'PARSE_ERROR', message: 'not JSON' });
  });
});

describe('stream', () => {
  it('gives all items in order, granting credit as they are taken', async () => {
    await using kernel = await startSmallKernel({ streams: { 'event.follow': () => count(500) } });
    await using client = await connect({ socketPath: kernel.socketPath });
    const seen: number[] = [];
    for await (const item of client.stream('event.follow', { limit: 500 })) seen.push(item.seq);
    expect(seen).toEqual(Array.from({ length: 500 }, (_, seq) => seq));
    expect(kernel.heard.filter((frame) => frame.method === '$/cancel')).toEqual([]);
  });

  it('is sent no more than its credit while nobody takes', async () => {
    await using kernel = await startSmallKernel({ streams: { 'event.follow': () => count(100_000) } });
    await using client = await connect({ socketPath: kernel.socketPath });
    const items = client.stream('event.follow', {})[Symbol.asyncIterator]();
    await items.next();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(kernel.sent()).toBe(64);
    await items.return?.();
  });

  it('is cancelled when its reader leaves, and other calls go on', async () => {
    await using kernel = await startSmallKernel({
      streams: { 'event.follow': () => count(100_000) },
      answers: { 'kernel.health': () => health },
    });
    await using client = await connect({ socketPath: kernel.socketPath });
    for await (const item of client.stream('event.follow', {})) if (item.seq === 3) break;
    await until(() => kernel.heard.some((frame) => frame.method === '$/cancel'));
    expect(await client.call('kernel.health', {})).toEqual(health);
  });

  it('ends with CANCELLED when its signal is aborted while it waits', async () => {
    await using kernel = await startSmallKernel({
      streams: {
        'event.follow': async function* (_, signal) {
          yield event(0);
          await forever(_, signal);
        },
      },
    });
    await using client = await connect({ socketPath: kernel.socketPath });
    const abort = new AbortController();
    const read = async () => {
      for await (const _ of client.stream('event.follow', { follow: true }, { signal: abort.signal }))
        setTimeout(() => abort.abort(), 20);
    };
    await expect(read()).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('gives what came before a failure, then the failure', async () => {
    await using kernel = await startSmallKernel({
      streams: {
        'module.logs': async function* () {
          yield event(0);
          throw new KernelError('MODULE_NOT_FOUND', 'gone');
        },
      },
    });
    await using client = await connect({ socketPath: kernel.socketPath });
    const seen: unknown[] = [];
    const read = async () => {
      for await (const item of client.stream('module.logs', { module: 'm' })) seen.push(item);
    };
    await expect(read()).rejects.toMatchObject({ code: 'MODULE_NOT_FOUND' });
    expect(seen).toHaveLength(1);
  });

  it('ends with UNAVAILABLE when the kernel dies', async () => {
    await using kernel = await startSmallKernel({
      streams: {
        'event.follow': async function* (_, signal) {
          yield event(0);
          await forever(_, signal);
        },
      },
    });
    await using client = await connect({ socketPath: kernel.socketPath });
    const read = async () => {
      for await (const _ of client.stream('event.follow', {}))
        for (const socket of kernel.connections()) socket.terminate();
    };
    await expect(read()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

describe('connect', () => {
  it('says NO_KERNEL where no socket is, where nobody listens and where a plain file lies', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'nk-'));
    try {
      await writeFile(join(directory, 'file'), '');
      const stale = join(directory, 'stale.sock');
      const server = createServer().listen(stale);
      await new Promise((resolve) => server.once('listening', resolve));
      // Closing unlinks the file; a hard link keeps the inode, which is what a killed kernel leaves behind.
      await link(stale, `${stale}.left`);
      await new Promise((resolve) => server.close(resolve));
      for (const path of ['missing', 'file', 'stale.sock.left', 'file/below']) {
        await expect(connect({ socketPath: join(directory, path) })).rejects.toMatchObject({
          code: 'NO_KERNEL',
          exitStatus: 3,
        });
      }
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  it('says DENIED with a remedy when permissions forbid it', () => {
    const error = connectError(Object.assign(new Error('connect EACCES'), { code: 'EACCES' }), '/run/x.sock');
    expect(error.code).toBe('DENIED');
    expect(error.remedy).toContain('control.group');
  });

  it('refuses a path that is too long before trying', async () => {
    const socketPath = `/tmp/${'x'.repeat(103)}`;
    await expect(async () => connect({ socketPath })).rejects.toMatchObject({ code: 'SOCKET_PATH_TOO_LONG' });
  });

  it('gives up on a listener that never answers', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'nk-'));
    const server = createServer(() => {}).listen(join(directory, 's'));
    try {
      await expect(connect({ socketPath: join(directory, 's'), timeoutMs: 100 })).rejects.toMatchObject({
        code: 'DEADLINE_EXCEEDED',
      });
    } finally {
      server.close();
      await rm(directory, { recursive: true, force: true });
    }
  });
});

describe('the declarations', () => {
  it('are streams exactly where the client thinks so', () => {
    const declared = Object.entries(OPERATIONS)
      .filter(([, operation]) => operation.kind === 'stream')
      .map(([name]) => name);
    expect([...STREAM_NAMES].toSorted()).toEqual(declared.toSorted());
  });

  it('have time limits below that of the client', () => {
    for (const operation of Object.values(OPERATIONS)) expect(operation.timeoutMs).toBeLessThan(DEFAULT_TIMEOUT_MS);
  });
});
