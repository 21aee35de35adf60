import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { event } from '../../../support/gate-fixture.ts';
import { http, LIMITS, openClient, openServer, raw, rpc, until } from '../../../support/control-fixture.ts';

const call = { module: 'greeter', function: 'hello', params: { name: 'Ada' } };
const forever = () => new Promise<never>(() => undefined);

describe('over WebSocket', () => {
  it('answers each request once, under its id, on / and /rpc', async () => {
    await using served = await openServer();
    for (const path of ['/', '/rpc', '/rpc?x=1']) {
      using client = await openClient(served.socketPath, path);
      client.send(rpc(1, 'module.call', call));
      client.send(rpc('two', 'kernel.health'));
      expect((await client.next((reply) => reply.id === 1)).result).toEqual({ echo: { name: 'Ada' } });
      expect((await client.next((reply) => reply.id === 'two')).result).toMatchObject({ mode: 'running' });
      expect(client.frames).toHaveLength(2);
    }
  });

  it('answers every malformed frame with its code and goes on', async () => {
    await using served = await openServer();
    using client = await openClient(served.socketPath);
    const cases: [string, string, unknown][] = [
      ['{', 'PARSE_ERROR', null],
      ['', 'PARSE_ERROR', null],
      ['[]', 'INVALID_REQUEST', null],
      [JSON.stringify([rpc(1, 'kernel.health')]), 'INVALID_REQUEST', null],
      ['null', 'INVALID_REQUEST', null],
      ['7', 'INVALID_REQUEST', null],
      ['"x"', 'INVALID_REQUEST', null],
      ['{"id":1,"method":"kernel.health"}', 'INVALID_REQUEST', 1],
      ['{"jsonrpc":"2.0","id":2}', 'INVALID_REQUEST', 2],
      ['{"jsonrpc":"2.0","id":3,"result":1}', 'INVALID_REQUEST', 3],
      ['{"jsonrpc":"2.0","id":4,"method":"kernel.health","extra":1}', 'INVALID_REQUEST', 4],
      ['{"jsonrpc":"2.0","id":1.5,"method":"kernel.health"}', 'INVALID_REQUEST', null],
      ['{"jsonrpc":"2.0","id":null,"method":"kernel.health"}', 'INVALID_REQUEST', null],
      [JSON.stringify(rpc('x'.repeat(65), 'kernel.health')), 'INVALID_REQUEST', null],
      ['{"jsonrpc":"2.0","id":5,"method":"__proto__"}', 'METHOD_NOT_FOUND', 5],
      [
        '{"jsonrpc":"2.0","id":6,"method":"zone.stop","params":{"zone":"stable","__proto__":{"a":1}}}',
        'INVALID_PARAMS',
        6,
      ],
      [
        `{"jsonrpc":"2.0","id":7,"method":"module.call","params":${'['.repeat(20_000)}${']'.repeat(20_000)}}`,
        'INVALID_REQUEST',
        7,
      ],
    ];
    for (const [text, code, id] of cases) {
      client.frames.length = 0;
      client.send(text);
      await until(() => client.frames.length === 1);
      expect([text.slice(0, 60), client.frames[0]!.error?.data.code, client.frames[0]!.id]).toEqual([
        text.slice(0, 60),
        code,
        id,
      ]);
    }
    client.frames.length = 0;
    client.ws.send(Buffer.from('{}'), { binary: true });
    await until(() => client.frames.length === 1);
    expect(client.frames[0]!.error?.data.code).toBe('INVALID_REQUEST');
    client.send(rpc(9, 'kernel.health'));
    expect((await client.next((reply) => reply.id === 9)).error).toBeUndefined();
  });

  it('closes on a frame over the limit and on one that is not UTF-8, and others do not notice', async () => {
    await using served = await openServer();
    using well = await openClient(served.socketPath);
    using large = await openClient(served.socketPath);
    large.send(`"${'x'.repeat(LIMITS.maxFrameBytes)}"`);
    await until(() => large.closed() !== null);
    expect(large.closed()).toBe(1009);
    using garbled = await openClient(served.socketPath);
    garbled.ws.send(Buffer.from([0xff, 0xfe]), { binary: false });
    await until(() => garbled.closed() !== null);
    expect(garbled.closed()).toBe(1007);
    well.send(rpc(1, 'kernel.health'));
    expect((await well.next((reply) => reply.id === 1)).error).toBeUndefined();
    await until(() => served.server.figures().connections === 1);
  });

  it('refuses an id in flight, bounds what is in flight, and cancels', async () => {
    const aborted: string[] = [];
    await using served = await openServer(
      {
        'zone.list': (_params, ctx) => {
          ctx.signal.addEventListener('abort', () => aborted.push((ctx.signal.reason as { code: string }).code));
          return forever();
        },
      },
      {},
      { perConnection: 3 },
    );
    using client = await openClient(served.socketPath);
    for (const id of [1, '1', 1, 2, 3]) client.send(rpc(id, 'zone.list'));
    await until(() => client.frames.length === 2);
    expect(client.frames.map((reply) => [reply.id, reply.error?.data.code])).toEqual([
      [1, 'INVALID_REQUEST'],
      [3, 'LIMIT_EXCEEDED'],
    ]);
    client.send({ jsonrpc: '2.0', method: '$/cancel', params: { id: 2 } });
    expect((await client.next((reply) => reply.id === 2)).error?.data.code).toBe('CANCELLED');
    client.send({ jsonrpc: '2.0', method: '$/cancel', params: { id: 'none' } });
    client.send({ jsonrpc: '2.0', method: '$/cancel', params: 7 });
    client.send({ jsonrpc: '2.0', method: 'zone.stop', params: { zone: 'stable' } });
    client.send(rpc(4, 'kernel.health'));
    expect((await client.next((reply) => reply.id === 4)).error).toBeUndefined();
    expect(aborted).toEqual(['CANCELLED']);
    expect(client.frames).toHaveLength(4);
  });

  it('withdraws everything of a client that disconnects in the middle', async () => {
    await using served = await openServer({ 'zone.list': forever });
    const client = await openClient(served.socketPath);
    for (let id = 0; id < 20; id += 1) client.send(rpc(id, 'zone.list'));
    client.send(rpc('s', 'event.follow', { follow: true }));
    await until(() => served.gate.figures().inFlight === 21);
    client.ws.terminate();
    await until(() => served.gate.figures().inFlight === 0);
    expect(served.server.figures()).toMatchObject({ connections: 0, inFlight: 0 });
  });

  it('answers with a code when a result cannot be written or is too large', async () => {
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    await using served = await openServer({
      'module.call': async (params) =>
        params.function === 'big'
          ? 'ä'.repeat(LIMITS.maxFrameBytes / 2)
          : params.function === 'none'
            ? undefined
            : cyclic,
    });
    using client = await openClient(served.socketPath);
    ['big', 'cyclic', 'none'].forEach((name, id) => client.send(rpc(id, 'module.call', { ...call, function: name })));
    await until(() => client.frames.length === 3);
    expect(client.frames.map((reply) => reply.error?.data.code ?? reply.result)).toEqual([
      'PAYLOAD_TOO_LARGE',
      'INTERNAL',
      null,
    ]);
  });

  it('never sends a stack', async () => {
    await using served = await openServer({
      'zone.list': async () => {
        throw new Error('broken');
      },
    });
    using client = await openClient(served.socketPath);
    client.send(rpc(1, 'zone.list'));
    await until(() => client.frames.length === 1);
    expect(JSON.stringify(client.frames)).not.toMatch(/ at |\.ts:/);
  });
});

describe('a stream', () => {
  const endless = {
    'event.follow': async function* () {
      for (let seq = 1; ; seq += 1) yield event(seq);
    },
  };

  it('sends its items in order and ends with a null result', async () => {
    await using served = await openServer();
    using client = await openClient(served.socketPath);
    client.send(rpc('s', 'event.follow', { limit: 5 }));
    await client.next((reply) => reply.id === 's');
    expect(client.frames.map((reply) => reply.params?.seq ?? reply.result)).toEqual([0, 1, 2, 3, 4, null]);
  });

  it('sends no more than the credit, goes on when there is more, and ends when cancelled', async () => {
    await using served = await openServer(endless);
    using client = await openClient(served.socketPath);
    client.send(rpc('s', 'event.follow', {}));
    await until(() => client.frames.length === 64);
    await sleep(30);
    expect(client.frames).toHaveLength(64);
    client.send({ jsonrpc: '2.0', method: '$/credit', params: { id: 's', items: 100 } });
    await until(() => client.frames.length === 164);
    for (const items of [0, -5, 1e9, 'x', null])
      client.send({ jsonrpc: '2.0', method: '$/credit', params: { id: 's', items } });
    await sleep(20);
    expect(client.frames).toHaveLength(164);
    client.send({ jsonrpc: '2.0', method: '$/cancel', params: { id: 's' } });
    expect((await client.next((reply) => reply.id === 's')).error?.data.code).toBe('CANCELLED');
    expect(served.gate.figures().inFlight).toBe(0);
  });
});

describe('a client that does not read', () => {
  const text = 'x'.repeat(40_000);
  const large = { 'module.call': async () => text };
  const manyInFlight = { perConnection: 1_000, total: 10_000 };

  it('is not read from until it reads again, loses nothing, and others are served meanwhile', async () => {
    await using served = await openServer(large, {}, manyInFlight);
    using well = await openClient(served.socketPath);
    using slow = await openClient(served.socketPath);
    slow.ws.pause();
    for (let id = 0; id < 2_000; id += 1) {
      slow.send(rpc(id, 'module.call', { ...call, params: 'y'.repeat(1_000) }));
      if (id % 50 === 0) await sleep(0);
    }
    well.send(rpc(1, 'kernel.health'));
    expect((await well.next((reply) => reply.id === 1)).error).toBeUndefined();
    await sleep(100);
    // 80 MB of answers were asked for; the kernel stopped reading long before.
    expect(served.gate.figures().answered).toBeLessThan(400);
    slow.ws.resume();
    await until(() => slow.frames.length === 2_000);
    expect(slow.closed()).toBe(null);
  });

  it('is cut off when what waits for it passes its bound', async () => {
    await using served = await openServer(large, {}, manyInFlight);
    using slow = await openClient(served.socketPath);
    slow.ws.pause();
    // In one write, so that one read of the kernel holds hundreds of requests.
    const { socket } = slow;
    socket.cork();
    for (let id = 0; id < 2_000; id += 1) slow.send(rpc(id, 'module.call', call));
    socket.uncork();
    await until(() => served.server.figures().connections === 0);
    await until(() => served.gate.figures().inFlight === 0);
  });

  it('is cut off when it no longer answers pings', async () => {
    await using served = await openServer({}, { pingIntervalMs: 40 });
    using well = await openClient(served.socketPath);
    using deaf = await openClient(served.socketPath);
    deaf.ws.pause();
    await until(() => served.server.figures().connections === 1);
    expect(well.closed()).toBe(null);
  });
});

describe('over HTTP', () => {
  it('answers one request a POST, with its own errors', async () => {
    await using served = await openServer();
    const post = async (body: unknown) => {
      const answer = await http(
        served.socketPath,
        'POST',
        '/rpc',
        typeof body === 'string' ? body : JSON.stringify(body),
      );
      return [
        answer.status,
        JSON.parse(answer.body) as { result?: unknown; error?: { data: { code: string } } },
      ] as const;
    };
    expect(await post(rpc(1, 'module.call', call))).toEqual([
      200,
      { jsonrpc: '2.0', id: 1, result: { echo: { name: 'Ada' } } },
    ]);
    expect((await post(rpc(1, 'event.follow', { limit: 3 })))[1].result).toHaveLength(3);
    const codes = async (body: unknown) => {
      const [status, reply] = await post(body);
      return [status, reply.error?.data.code];
    };
    expect(await codes(rpc(1, 'event.follow', { follow: true }))).toEqual([200, 'INVALID_PARAMS']);
    expect(await codes(rpc(1, 'nothing'))).toEqual([200, 'METHOD_NOT_FOUND']);
    expect(await codes('{')).toEqual([400, 'PARSE_ERROR']);
    expect(await codes('')).toEqual([400, 'PARSE_ERROR']);
    expect(await codes([])).toEqual([400, 'INVALID_REQUEST']);
    expect(await codes({ jsonrpc: '2.0', method: 'kernel.health' })).toEqual([400, 'INVALID_REQUEST']);
    expect(await codes('x'.repeat(LIMITS.maxFrameBytes + 1))).toEqual([413, 'PAYLOAD_TOO_LARGE']);
    expect(served.gate.figures().inFlight).toBe(0);
  });

  it('bounds a body that does not say its length', async () => {
    await using served = await openServer();
    const chunk = `${(8_192).toString(16)}\r\n${'x'.repeat(8_192)}\r\n`;
    const text = await raw(
      served.socketPath,
      `POST /rpc HTTP/1.1\r\nhost: k\r\ntransfer-encoding: chunked\r\n\r\n${chunk.repeat(40)}0\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 413[^]*PAYLOAD_TOO_LARGE/);
  });

  it('withdraws the request of a caller that hangs up', async () => {
    await using served = await openServer({ 'zone.list': forever });
    const body = JSON.stringify(rpc(1, 'zone.list'));
    const socket = connect(served.socketPath);
    socket.write(`POST /rpc HTTP/1.1\r\nhost: k\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    await until(() => served.gate.figures().inFlight === 1);
    socket.destroy();
    await until(() => served.gate.figures().inFlight === 0);
  });

  it('serves the probes by mode, and nothing else', async () => {
    let mode: 'running' | 'degraded' | 'booting' | 'safe' = 'booting';
    await using served = await openServer({}, {}, { mode: () => mode });
    const status = async (path: string, method = 'GET') => (await http(served.socketPath, method, path)).status;
    expect([await status('/healthz'), await status('/readyz'), await status('/diagz')]).toEqual([200, 503, 200]);
    for (const [next, expected] of [
      ['running', 200],
      ['degraded', 200],
      ['safe', 503],
    ] as const) {
      mode = next;
      expect(await status('/readyz')).toBe(expected);
    }
    expect(JSON.parse((await http(served.socketPath, 'GET', '/readyz')).body)).toEqual({
      ok: true,
      mode: 'safe',
      reasons: [],
    });
    expect([
      await status('/'),
      await status('/etc/passwd'),
      await status('/../x'),
      await status('/rpc'),
      await status('/healthz', 'DELETE'),
    ]).toEqual([404, 404, 404, 405, 405]);
    expect(JSON.parse((await http(served.socketPath, 'GET', '/none')).body)).toMatchObject({
      error: { code: 'NOT_FOUND' },
    });
  });

  it('is not ready when the health cannot be told', async () => {
    await using served = await openServer({
      'kernel.health': async () => {
        throw new Error('no');
      },
    });
    expect(await http(served.socketPath, 'GET', '/readyz')).toMatchObject({ status: 503 });
    expect(await http(served.socketPath, 'GET', '/healthz')).toMatchObject({ status: 200 });
  });

  it('answers what is not HTTP with an error and hangs up', async () => {
    await using served = await openServer();
    expect(await raw(served.socketPath, 'hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400[^]*INVALID_REQUEST/);
    expect(
      await raw(served.socketPath, `GET /healthz HTTP/1.1\r\nhost: k\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
    ).toMatch(/^HTTP\/1\.1 431/);
    expect(await raw(served.socketPath, Buffer.from([0x16, 3, 1, 0, 5]))).toMatch(/^HTTP\/1\.1 400/);
    expect(
      await raw(
        served.socketPath,
        'GET /attic HTTP/1.1\r\nhost: k\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
      ),
    ).toMatch(/^HTTP\/1\.1 404/);
    expect(await http(served.socketPath, 'GET', '/healthz')).toMatchObject({ status: 200 });
  });

  it('refuses browsers', async () => {
    await using served = await openServer();
    const ws = new WebSocket(`ws+unix:${served.socketPath}:/rpc`, { origin: 'http://evil.example' });
    await expect(
      new Promise((resolve, reject) => {
        ws.once('open', resolve);
        ws.once('error', reject);
      }),
    ).rejects.toThrow(/403/);
  });

  it('cuts off a request that is never finished', async () => {
    await using served = await openServer();
    const startedMs = performance.now();
    const [half, nothing] = await Promise.all([raw(served.socketPath, 'GET /healthz HTT'), raw(served.socketPath, '')]);
    expect(half).toMatch(/^HTTP\/1\.1 408/);
    expect(nothing).toMatch(/^(HTTP\/1\.1 408|$)/);
    expect(performance.now() - startedMs).toBeLessThan(8_000);
  });
});

describe('many clients', () => {
  it('200 at once are all served', async () => {
    await using served = await openServer();
    const clients = await Promise.all(Array.from({ length: 200 }, () => openClient(served.socketPath)));
    for (const client of clients)
      for (let id = 0; id < 20; id += 1) client.send(rpc(id, 'module.call', { ...call, params: id }));
    await Promise.all(clients.map((client) => until(() => client.frames.length === 20)));
    for (const client of clients)
      expect(client.frames.every((reply) => (reply.result as { echo: unknown }).echo === reply.id)).toBe(true);
    for (const client of clients) client.ws.terminate();
    await until(() => served.server.figures().connections === 0);
  });

  it('those over the limit are told so, and their place is free again afterwards', async () => {
    await using served = await openServer({}, { limits: { ...LIMITS, maxConnections: 4 } });
    const clients = await Promise.all([1, 2, 3, 4].map(() => openClient(served.socketPath)));
    await expect(openClient(served.socketPath)).rejects.toThrow(/503/);
    expect(await http(served.socketPath, 'GET', '/healthz')).toMatchObject({
      status: 503,
      body: expect.stringContaining('LIMIT_EXCEEDED'),
    });
    clients[0]!.ws.terminate();
    await until(() => served.server.figures().connections === 3);
    using again = await openClient(served.socketPath);
    again.send(rpc(1, 'kernel.health'));
    await again.next((reply) => reply.id === 1);
    for (const client of clients) client.ws.terminate();
  });
});

describe('ending', () => {
  it('tells those who wait, over HTTP too', async () => {
    await using served = await openServer({ 'zone.list': forever });
    using client = await openClient(served.socketPath);
    client.send(rpc(1, 'zone.list'));
    const posted = http(served.socketPath, 'POST', '/rpc', JSON.stringify(rpc(2, 'zone.list')));
    await until(() => served.server.figures().inFlight === 2);
    await served.server.close();
    expect((await client.next((reply) => reply.id === 1)).error?.data.code).toBe('STOPPING');
    expect((await posted).body).toContain('STOPPING');
    expect(served.gate.figures().inFlight).toBe(0);
  });

  it('stops accepting, ends streams, waits for calls and withdraws the rest', async () => {
    let release = (): void => undefined;
    await using served = await openServer({
      'zone.list': () => new Promise((resolve) => (release = () => resolve([]))),
      'module.list': forever,
    });
    using client = await openClient(served.socketPath);
    client.send(rpc('s', 'event.follow', { follow: true, limit: 1 }));
    client.send(rpc('quick', 'zone.list'));
    client.send(rpc('stuck', 'module.list'));
    await client.next((reply) => reply.method === '$/progress');
    served.server.stopAccepting();
    await expect(openClient(served.socketPath)).rejects.toThrow(/ECONNREFUSED/);
    const drained = served.server.drain(150);
    expect((await client.next((reply) => reply.id === 's')).error?.data.code).toBe('STOPPING');
    release();
    expect((await client.next((reply) => reply.id === 'quick')).result).toEqual([]);
    expect(await drained).toBe(1);
    expect((await client.next((reply) => reply.id === 'stuck')).error?.data.code).toBe('STOPPING');
    await served.server.close();
    await until(() => client.closed() === 1001);
    expect(() => statSync(served.socketPath)).toThrow(/ENOENT/);
    expect(await readdir(dirname(served.socketPath))).toEqual([]);
  });
});
