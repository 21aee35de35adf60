import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { requestFrameSchema } from '../../../../Kernel/contract/wire/jsonrpc.schema.ts';
import { MAX_DEPTH, parseFrame } from '../../../../daemon/control/frame.ts';
import { openClient, openServer, raw, rpc, until } from '../../../support/control-fixture.ts';

const nearly = fc.record(
  {
    jsonrpc: fc.oneof(fc.constant('2.0'), fc.constant('2.0'), fc.jsonValue()),
    id: fc.oneof(fc.integer(), fc.string({ maxLength: 70 }), fc.double(), fc.jsonValue()),
    method: fc.oneof(
      fc.constantFrom('kernel.health', 'zone.stop', 'module.call', '$/cancel', '$/credit', 'event.follow', '__proto__'),
      fc.string({ maxLength: 70 }),
      fc.jsonValue(),
    ),
    params: fc.oneof(
      fc.record({ zone: fc.constantFrom('stable', 'x') }),
      fc.record({ id: fc.integer(), items: fc.integer() }),
      fc.jsonValue(),
    ),
    extra: fc.jsonValue(),
  },
  { requiredKeys: [] },
);

const json = fc.oneof(nearly, fc.jsonValue()).map((value) => JSON.stringify(value));
/** JSON with a piece cut out or put in, or no JSON at all. */
const hostile = fc.oneof(
  json,
  fc
    .tuple(json, fc.nat(), fc.string({ maxLength: 5 }))
    .map(
      ([text, at, piece]) =>
        text.slice(0, at % (text.length + 1)) + piece + text.slice((at % (text.length + 1)) + piece.length),
    ),
  fc.string(),
);

describe('reading a frame', () => {
  it('comes to the verdict of the schema', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const frame = parseFrame(text);
        let value: unknown;
        try {
          value = JSON.parse(text);
        } catch {
          expect(frame).toMatchObject({ kind: 'invalid', error: { code: 'PARSE_ERROR' } });
          return;
        }
        expect(frame.kind !== 'invalid').toBe(requestFrameSchema.safeParse(value).success);
      }),
      { numRuns: 5_000 },
    );
  });

  it('bounds the nesting, and survives any', () => {
    const nested = (depth: number) =>
      `{"jsonrpc":"2.0","id":1,"method":"m","params":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`;
    expect(parseFrame(nested(MAX_DEPTH)).kind).toBe('request');
    expect(parseFrame(nested(MAX_DEPTH + 1)).kind).toBe('invalid');
    expect(parseFrame(nested(1_000_000)).kind).toBe('invalid');
    expect(parseFrame('['.repeat(5_000_000)).kind).toBe('invalid');
  });

  it('costs less than the schema does', () => {
    const text = JSON.stringify(
      rpc(1, 'module.call', { module: 'greeter', function: 'hello', params: { name: 'Ada' } }),
    );
    const time = (work: () => unknown) => {
      for (let i = 0; i < 20_000; i += 1) work();
      const startedMs = performance.now();
      for (let i = 0; i < 50_000; i += 1) work();
      return performance.now() - startedMs;
    };
    const byHand = Math.min(
      time(() => parseFrame(text)),
      time(() => parseFrame(text)),
    );
    const bySchema = Math.min(
      time(() => requestFrameSchema.parse(JSON.parse(text))),
      time(() => requestFrameSchema.parse(JSON.parse(text))),
    );
    expect(byHand).toBeLessThan(bySchema);
  });
});

describe('a server under hostile input', () => {
  it('gives each of thousands of hostile frames a structured error or a result, and stays whole', async () => {
    await using served = await openServer();
    using client = await openClient(served.socketPath);
    const frames = fc.sample(hostile, { numRuns: 3_000, seed: 7 });
    for (const text of frames) client.send(text);
    client.send(rpc('last', 'kernel.health'));
    await client.next((reply) => reply.id === 'last');
    for (const reply of client.frames) {
      if (reply.method === '$/progress') continue;
      expect(reply).toMatchObject({ jsonrpc: '2.0' });
      if (reply.error !== undefined) expect(typeof reply.error.data.code).toBe('string');
      else expect(reply).toHaveProperty('result');
    }
    expect(client.frames.length).toBeGreaterThan(2_000);
    expect(client.closed()).toBe(null);
  });

  it('survives bytes that are no WebSocket frames, after and instead of a handshake', async () => {
    await using served = await openServer();
    const handshake =
      'GET /rpc HTTP/1.1\r\nhost: k\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';
    const garbage = fc.sample(fc.uint8Array({ minLength: 2, maxLength: 200 }), { numRuns: 150, seed: 3 });
    for (const bytes of garbage) {
      // An unmasked frame is a protocol error for every server (RFC 6455, 5.1), so each of these ends.
      const unmasked = Buffer.from(bytes);
      unmasked[1]! &= 0x7f;
      expect(await raw(served.socketPath, Buffer.concat([Buffer.from(handshake), unmasked]))).toMatch(
        /^HTTP\/1\.1 101/,
      );
      await raw(served.socketPath, Buffer.concat([Buffer.from(bytes), Buffer.from('\r\n\r\n\r\n')]));
    }
    using client = await openClient(served.socketPath);
    client.send(rpc(1, 'kernel.health'));
    await client.next((reply) => reply.id === 1);
    await until(() => served.server.figures().connections === 1);
  });
});
