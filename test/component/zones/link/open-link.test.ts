import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { InstanceId } from '../../../../Kernel/contract/ids.ts';
import { createOpenLink } from '../../../../zones/link/open-link.ts';
import { HELLO_TIMEOUT_MS } from '../../../../zones/link/connection.ts';
import type { LinkHandlers } from '../../../../zones/link/link.ts';
import {
  LIMITS,
  openBench,
  realClock,
  realRandom,
  shortDirectory,
  silentLog,
  until,
  type Bench,
} from '../../../support/agent-bench.ts';
import {
  answerLyingAboutDigest,
  connectGreeted,
  connectRaw,
  connectWebSocket,
  floodConnects,
  frame,
  frameHead,
  helloFrame,
  jsonFrame,
  nested,
  sendHugeFrame,
} from '../../../support/hostile-peer.ts';

const socketOf = (bench: Bench): string => join(bench.directory, 'agent.sock');
const request = { timeoutMs: 2000 };

/** The one violation, as a code. */
const violation = async (bench: Bench): Promise<string> => {
  await until('a violation', () => bench.violations.length > 0, 8000);
  expect(bench.violations).toHaveLength(1);
  expect(bench.link.connected()).toBe(false);
  return bench.violations[0]?.code ?? '';
};

describe('the socket file', () => {
  it('replaces a stale one, lets everyone connect, and is gone after close', async () => {
    using directory = shortDirectory();
    writeFileSync(join(directory.path, 'agent.sock'), 'stale');
    const bench = await openBench({ directory: directory.path });
    expect(statSync(socketOf(bench)).mode & 0o777).toBe(0o666);
    expect(statSync(socketOf(bench)).isSocket()).toBe(true);
    await bench.link.close();
    expect(existsSync(socketOf(bench))).toBe(false);
    await bench.link.close();
  });

  it('refuses a path over 107 bytes by name', async () => {
    await expect(openBench({ directory: `/tmp/${'x'.repeat(110)}` })).rejects.toMatchObject({
      code: 'SOCKET_PATH_TOO_LONG',
    });
  });

  it('says when it cannot be opened', async () => {
    await expect(openBench({ directory: '/tmp/k-does-not-exist' })).rejects.toMatchObject({
      code: 'SOCKET_UNAVAILABLE',
    });
  });
});

describe('one connection', () => {
  it('meets a flood of connects with no listener, and the agent that is there goes on', async () => {
    await using bench = await openBench();
    using peer = await connectGreeted(socketOf(bench));
    peer.answer = () => 'pong';
    await until('greeted', () => bench.link.connected());
    expect(await floodConnects(socketOf(bench), 500)).toBe(0);
    expect(await bench.link.request('call', {}, request)).toBe('pong');
    expect(bench.violations).toEqual([]);
  });

  it('takes at most one of many connects at once', async () => {
    await using bench = await openBench();
    await floodConnects(socketOf(bench), 50);
    await until('listening again', () => existsSync(socketOf(bench)));
    using peer = await connectGreeted(socketOf(bench));
    await until('greeted', () => bench.link.connected());
    expect(peer.socket.destroyed).toBe(false);
  });

  it('listens again after a disconnect and greets the next connection', async () => {
    await using bench = await openBench();
    for (let round = 1; round <= 3; round += 1) {
      using peer = await connectGreeted(socketOf(bench));
      await until('greeted', () => bench.link.connected());
      const lost = bench.link.request('call', {}, request);
      peer.socket.destroy();
      await expect(lost).rejects.toMatchObject({ code: 'INSTANCE_LOST' });
      await until('disconnect told', () => bench.disconnects() === round);
      await until('listening again', () => existsSync(socketOf(bench)));
    }
    expect(bench.violations).toEqual([]);
  });

  it('gives up on whoever connects over and over without a hello', async () => {
    await using bench = await openBench();
    for (let round = 0; round < 8; round += 1) {
      await until('listening', () => existsSync(socketOf(bench)), 4000);
      using peer = await connectRaw(socketOf(bench));
      peer.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await peer.closed;
    }
    expect(await violation(bench)).toBe('PROTOCOL');
    expect(existsSync(socketOf(bench))).toBe(false);
  }, 20_000);

  it('throws out garbage, oversized headers and silence before the handshake', async () => {
    await using bench = await openBench();
    for (const bytes of ['\x00\x01\x02 garbage\r\n\r\n', `GET / HTTP/1.1\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`, '']) {
      await until('listening', () => existsSync(socketOf(bench)));
      using peer = await connectRaw(socketOf(bench));
      peer.send(bytes);
      const startMs = performance.now();
      await peer.closed;
      expect(performance.now() - startMs).toBeLessThan(3000);
    }
    expect(bench.violations).toEqual([]);
  }, 10_000);

  it('throws out a connection that never says hello', async () => {
    await using bench = await openBench();
    using peer = await connectWebSocket(socketOf(bench));
    const startMs = performance.now();
    await peer.closed;
    expect(performance.now() - startMs).toBeGreaterThan(HELLO_TIMEOUT_MS - 500);
    expect(bench.hellos).toEqual([]);
  }, 10_000);
});

describe('breaches', () => {
  const cases: [string, string, (bench: Bench) => Promise<unknown>][] = [
    [
      'a first frame that is no hello',
      'PROTOCOL',
      async (bench) =>
        (await connectWebSocket(socketOf(bench))).send(
          jsonFrame({ jsonrpc: '2.0', id: 1, method: 'bus.publish', params: {} }),
        ),
    ],
    [
      'a hello with an unknown key',
      'PROTOCOL',
      async (bench) => (await connectWebSocket(socketOf(bench))).send(helloFrame({ admin: true })),
    ],
    [
      'a hello of another protocol',
      'PROTOCOL',
      async (bench) => (await connectWebSocket(socketOf(bench))).send(helloFrame({ protocol: 99 })),
    ],
    [
      'a hello in the name of another instance',
      'PROTOCOL',
      async (bench) => (await connectWebSocket(socketOf(bench))).send(helloFrame({ instance: 'i-ffffffffffff' })),
    ],
    ['a second hello', 'PROTOCOL', async (bench) => (await connectGreeted(socketOf(bench))).send(helloFrame())],
    [
      'text that is not JSON',
      'PROTOCOL',
      async (bench) => (await connectGreeted(socketOf(bench))).send(frame('{"jsonrpc":')),
    ],
    [
      'JSON that is not JSON-RPC',
      'PROTOCOL',
      async (bench) => (await connectGreeted(socketOf(bench))).send(frame('[1,2]')),
    ],
    [
      'a batch',
      'PROTOCOL',
      async (bench) => (await connectGreeted(socketOf(bench))).send(frame('[{"jsonrpc":"2.0","method":"x"}]')),
    ],
    ['a binary frame', 'PROTOCOL', async (bench) => (await connectGreeted(socketOf(bench))).send(frame('{}', 2))],
    [
      'invalid UTF-8',
      'PROTOCOL',
      async (bench) => (await connectGreeted(socketOf(bench))).send(frame(Buffer.alloc(40, 0xff))),
    ],
    ['an invalid opcode', 'PROTOCOL', async (bench) => (await connectGreeted(socketOf(bench))).send(frame('x', 7))],
    [
      'a frame of 100 MiB',
      'PAYLOAD_TOO_LARGE',
      async (bench) => sendHugeFrame(await connectGreeted(socketOf(bench)), 100 * 1024 * 1024),
    ],
    [
      'fragments without end',
      'LIMIT_EXCEEDED',
      async (bench) => {
        const peer = await connectGreeted(socketOf(bench));
        peer.send(frame('', 1, false));
        for (let index = 0; index < 100; index += 1) peer.send(frame('', 0, false));
      },
    ],
    [
      'a reply nested 400,000 deep',
      'LIMIT_EXCEEDED',
      async (bench) => (await connectGreeted(socketOf(bench))).send(frame(nested(400_000))),
    ],
    [
      'output that does not fit its schema',
      'PROTOCOL',
      async (bench) =>
        (await connectGreeted(socketOf(bench))).send(
          jsonFrame({ jsonrpc: '2.0', method: 'output', params: { text: 1 } }),
        ),
    ],
    [
      'output beyond its credit',
      'LIMIT_EXCEEDED',
      async (bench) => {
        const peer = await connectGreeted(socketOf(bench));
        const line = { stream: 'stdout', level: 'info', text: 'x'.repeat(60_000), at: 0, droppedBytes: 0 };
        for (let index = 0; index < 10; index += 1)
          peer.send(jsonFrame({ jsonrpc: '2.0', method: 'output', params: line }));
      },
    ],
  ];
  for (const [what, code, attack] of cases) {
    it(`ends the instance at once for ${what}: ${code}`, async () => {
      await using bench = await openBench({ outputBytesPerSecond: 1000 });
      await attack(bench);
      expect(await violation(bench)).toBe(code);
      expect(existsSync(socketOf(bench))).toBe(false);
    });
  }

  const floods: [string, Buffer][] = [
    ['small requests', jsonFrame({ jsonrpc: '2.0', method: 'x' })],
    ['unmatched replies', jsonFrame({ jsonrpc: '2.0', id: 'guess.1', result: null })],
    ['pings', frame('', 9)],
    ['pongs', frame('', 10)],
  ];
  for (const [what, one] of floods) {
    it(`pauses, then ends, a flood of ${what}`, async () => {
      await using bench = await openBench();
      using peer = await connectGreeted(socketOf(bench));
      await until('greeted', () => bench.link.connected());
      const many = Buffer.concat(Array.from({ length: 5000 }, () => one));
      const pour = setInterval(() => {
        if (peer.socket.writableLength < 1 << 20) peer.send(many);
      }, 20);
      const startMs = performance.now();
      const cpu = process.cpuUsage();
      try {
        expect(await violation(bench)).toBe('LIMIT_EXCEEDED');
      } finally {
        clearInterval(pour);
      }
      const used = process.cpuUsage(cpu);
      expect(performance.now() - startMs).toBeGreaterThan(1000);
      // Both ends run in this process; even so the flood may not take a core.
      expect((used.user + used.system) / 1000 / (performance.now() - startMs)).toBeLessThan(0.7);
    }, 10_000);
  }

  it('refuses, then ends, a peer that never reads, within bounded memory', async () => {
    await using bench = await openBench({ limits: { maxInFlight: 100_000 } });
    using peer = await connectGreeted(socketOf(bench));
    await until('greeted', () => bench.link.connected());
    peer.socket.pause();
    const params = { text: 'x'.repeat(500_000) };
    const refused: string[] = [];
    const before = process.memoryUsage().external + process.memoryUsage().heapUsed;
    for (let index = 0; index < 200; index += 1) {
      bench.link
        .request('call', params, { timeoutMs: 20_000 })
        .catch((error: unknown) => refused.push((error as { code: string }).code));
    }
    await until('refusals', () => refused.length > 150);
    expect(new Set(refused)).toEqual(new Set(['LIMIT_EXCEEDED']));
    expect(bench.link.writable()).toBe(false);
    expect(process.memoryUsage().external + process.memoryUsage().heapUsed - before).toBeLessThan(60 * 1024 * 1024);
    expect(await violation(bench)).toBe('LIMIT_EXCEEDED');
    expect(bench.disconnects()).toBe(1);
  }, 15_000);

  it('holds at most one half frame of a peer that stops in the middle, and survives its end', async () => {
    await using bench = await openBench();
    using peer = await connectGreeted(socketOf(bench));
    await until('greeted', () => bench.link.connected());
    peer.send(frameHead(1000));
    peer.send('{"half":');
    await expect(bench.link.request('ping', null, { timeoutMs: 100 })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    peer.socket.destroy();
    await until('disconnect told', () => bench.disconnects() === 1);
    expect(bench.violations).toEqual([]);
  });
});

describe('requests', () => {
  it('time out with $/cancel, and the late reply is dropped without harm', async () => {
    await using bench = await openBench({ limits: { framesPerSecond: 20 } });
    using peer = await connectGreeted(socketOf(bench));
    await until('greeted', () => bench.link.connected());
    const calls = Array.from({ length: 100 }, () => bench.link.request('call', {}, { timeoutMs: 50 }));
    const results = await Promise.allSettled(calls);
    expect(new Set(results.map((one) => one.status === 'rejected' && (one.reason as { code: string }).code))).toEqual(
      new Set(['DEADLINE_EXCEEDED']),
    );
    await until('cancels', () => peer.received.filter((one) => one['method'] === '$/cancel').length === 100);
    for (const { id, method } of peer.received)
      if (method === 'call') peer.send(jsonFrame({ jsonrpc: '2.0', id, result: 'late' }));
    peer.answer = () => 'in time';
    expect(await bench.link.request('call', {}, request)).toBe('in time');
    expect(bench.violations).toEqual([]);
    expect(bench.link.inFlight()).toBe(0);
  });

  it('are withdrawn by their signal', async () => {
    await using bench = await openBench();
    using peer = await connectGreeted(socketOf(bench));
    await until('greeted', () => bench.link.connected());
    const controller = new AbortController();
    const withdrawn = bench.link.request('call', {}, { timeoutMs: 5000, signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await expect(withdrawn).rejects.toMatchObject({ code: 'CANCELLED' });
    await until('cancel', () => peer.received.some((one) => one['method'] === '$/cancel'));
    await expect(
      bench.link.request('call', {}, { timeoutMs: 5000, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('are limited in flight, but for the heartbeat', async () => {
    await using bench = await openBench({ limits: { maxInFlight: 3 } });
    using peer = await connectGreeted(socketOf(bench));
    peer.answer = ({ method }) => (method === 'ping' ? { lagMs: 0, rssBytes: 0, inFlight: 3 } : undefined);
    await until('greeted', () => bench.link.connected());
    const waiting = [1, 2, 3].map(() => bench.link.request('call', {}, { timeoutMs: 200 }).catch(() => 'late'));
    await expect(bench.link.request('call', {}, request)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' });
    await expect(bench.link.request('ping', null, request)).resolves.toMatchObject({ inFlight: 3 });
    await Promise.all(waiting);
  });

  it('before any connection, or too large, are refused', async () => {
    await using bench = await openBench();
    await expect(bench.link.request('call', {}, request)).rejects.toMatchObject({ code: 'INSTANCE_LOST' });
    using _peer = await connectGreeted(socketOf(bench));
    await until('greeted', () => bench.link.connected());
    await expect(bench.link.request('call', 'x'.repeat(LIMITS.maxFrameBytes), request)).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    });
  });

  it("take no result of a wrong shape, and no error code that is not an agent's", async () => {
    await using bench = await openBench();
    using peer = await connectGreeted(socketOf(bench));
    await until('greeted', () => bench.link.connected());
    peer.answer = () => ({ lagMs: 'fast' });
    await expect(bench.link.request('ping', null, request)).rejects.toMatchObject({ code: 'PROTOCOL' });
    peer.answer = ({ id }) => {
      peer.send(
        jsonFrame({
          jsonrpc: '2.0',
          id,
          error: {
            code: 1,
            message: 'm'.repeat(16_000),
            data: { code: 'SAFE_MODE', retryAfterMs: 9, details: { remedy: 'run this', name: 'E' } },
          },
        }),
      );
      return undefined;
    };
    const error = await bench.link.request('call', {}, request).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'MODULE_ERROR',
      retryAfterMs: undefined,
      remedy: undefined,
      context: { name: 'E' },
    });
    expect((error as Error).message.length).toBeLessThanOrEqual(4096);
  });

  it('leave the digest to the caller to compare: a liar gets as far as its lie', async () => {
    await using bench = await openBench();
    using peer = await connectGreeted(socketOf(bench));
    await until('greeted', () => bench.link.connected());
    peer.answer = answerLyingAboutDigest;
    const result = await bench.link.request('assign.commit', null, request);
    expect(result).toMatchObject({ digest: expect.stringMatching(/^sha256:/) });
  });

  it('of the agent are answered, refused and bounded', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const onRequest: LinkHandlers['onRequest'] = (method) =>
      method === 'bus.publish' ? held.then(() => ({ delivered: 2 })) : null;
    await using bench = await openBench({ limits: { maxInFlight: 2 }, handlers: { onRequest } });
    using peer = await connectGreeted(socketOf(bench));
    const ask = (id: number, method: string, params: unknown): void =>
      peer.send(jsonFrame({ jsonrpc: '2.0', id, method, params }));
    ask(2, 'bus.publish', { topic: 'a', payload: 1 });
    ask(3, 'bus.publish', { topic: 'a', payload: 1 });
    ask(4, 'bus.publish', { topic: 'a', payload: 1 });
    ask(5, 'bus.subscribe', { topic: 'NOT A TOPIC' });
    ask(6, 'module.stage', {});
    await until('refusals', () => peer.received.length >= 4);
    release();
    await until('answers', () => peer.received.length === 6);
    const outcome = Object.fromEntries(
      peer.received.map((one) => [
        String(one['id']),
        (one['error'] as { data?: { code: string } } | undefined)?.data?.code ?? one['result'],
      ]),
    );
    expect(outcome).toMatchObject({
      2: { delivered: 2 },
      3: { delivered: 2 },
      4: 'LIMIT_EXCEEDED',
      5: 'INVALID_PARAMS',
      6: 'METHOD_NOT_FOUND',
    });
  });
});

describe('disposal', () => {
  it('leaves no timer, listener or descriptor behind', async () => {
    const running = new Set<object>();
    const counting = {
      ...realClock,
      after: (delayMs: number, fn: () => void) => {
        const key = {};
        running.add(key);
        const cancel = realClock.after(delayMs, () => {
          running.delete(key);
          fn();
        });
        return () => {
          running.delete(key);
          cancel();
        };
      },
    };
    const openLink = createOpenLink({ clock: counting, random: realRandom, log: silentLog });
    const before = process.getActiveResourcesInfo().length;
    for (let round = 0; round < 5; round += 1) {
      using directory = shortDirectory();
      const link = await openLink({
        instance: 'i-0123456789ab' as InstanceId,
        directory: directory.path,
        limits: LIMITS,
        handlers: {
          onHello: () => ({ protocol: 1, orphanTimeoutMs: 1, outputCreditBytes: 1000 }),
          onDisconnect: () => {},
          onViolation: () => {},
          onOutput: () => {},
          onRequest: () => null,
        },
      });
      using peer = await connectGreeted(join(directory.path, 'agent.sock'));
      await until('greeted', () => link.connected());
      const signal = new AbortController().signal;
      const lost = link.request('call', {}, { timeoutMs: 60_000, signal });
      await Promise.all([expect(lost).rejects.toMatchObject({ code: 'INSTANCE_LOST' }), link.close()]);
      await peer.closed;
    }
    expect(running.size).toBe(0);
    await until('no resources left', () => process.getActiveResourcesInfo().length <= before);
  });
});
