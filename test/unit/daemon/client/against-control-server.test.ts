/** The client and the kernel's own control server, end to end over a real socket. */
import { describe, expect, it } from 'vitest';
import { connect } from '../../../../daemon/client/connect.ts';
import { postRpc } from '../../../../daemon/client/post-rpc.ts';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import { openServer, until } from '../../../support/control-fixture.ts';

const call = { module: 'm', function: 'f', params: { größe: '大' } };

describe('client and control server', () => {
  it('agree on calls in both forms', async () => {
    await using server = await openServer();
    await using client = await connect({ socketPath: server.socketPath });
    expect(await client.call('module.call', call)).toEqual({ echo: call.params });
    expect(await postRpc(server.socketPath, 'module.call', call)).toEqual({ echo: call.params });
  });

  it('agree on errors in both forms', async () => {
    await using server = await openServer({
      'zone.start': async () => {
        throw new KernelError('ADMISSION_REFUSED', 'full', { retryAfterMs: 5, remedy: 'Wait.' });
      },
    });
    await using client = await connect({ socketPath: server.socketPath });
    const expected = { code: 'ADMISSION_REFUSED', message: 'full', retryAfterMs: 5, remedy: 'Wait.' };
    await expect(client.call('zone.start', { zone: 'stable' })).rejects.toMatchObject(expected);
    await expect(postRpc(server.socketPath, 'zone.start', { zone: 'stable' })).rejects.toMatchObject(expected);
    await expect(client.call('zone.start', { zone: 'prod' as 'stable' })).rejects.toMatchObject({
      code: 'INVALID_PARAMS',
    });
  });

  it('agree on streams, far beyond the first credit', async () => {
    await using server = await openServer();
    await using client = await connect({ socketPath: server.socketPath });
    const seen: number[] = [];
    for await (const item of client.stream('event.follow', { limit: 1000 })) seen.push(item.seq);
    expect(seen).toEqual(Array.from({ length: 1000 }, (_, at) => at + 1));
  });

  it.each(['break', 'abort'] as const)('agree on the cancellation of a stream by %s', async (how) => {
    let ended = false;
    await using server = await openServer({
      'event.follow': async function* (_, { signal }) {
        signal.addEventListener('abort', () => {
          ended = true;
        });
        for (let seq = 1; !signal.aborted; seq += 1) {
          yield { seq, at: '2026-11-21T00:00:00.000Z', kind: 'tick', severity: 'info' as const, reason: 'time' };
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      },
    });
    await using client = await connect({ socketPath: server.socketPath });
    const abort = new AbortController();
    const read = async () => {
      for await (const item of client.stream('event.follow', { follow: true }, { signal: abort.signal })) {
        if (item.seq < 100) continue;
        if (how === 'break') break;
        abort.abort();
      }
    };
    if (how === 'break') await read();
    else await expect(read()).rejects.toMatchObject({ code: 'CANCELLED' });
    await until(() => ended);
    expect(await client.call('zone.list', {})).toEqual([]);
  });

  it.each(['connection', 'post'] as const)('agree on the cancellation of a call over %s', async (form) => {
    let began = false;
    let ended = false;
    await using server = await openServer({
      'module.call': (_, { signal }) => {
        began = true;
        return new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => {
            ended = true;
            reject(new KernelError('CANCELLED', 'withdrawn'));
          }),
        );
      },
    });
    await using client = await connect({ socketPath: server.socketPath });
    const abort = new AbortController();
    const running =
      form === 'post'
        ? postRpc(server.socketPath, 'module.call', call, { signal: abort.signal })
        : client.call('module.call', call, { signal: abort.signal });
    const refused = expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
    await until(() => began);
    abort.abort();
    await refused;
    await until(() => ended);
  });

  it('agree on the end of the kernel', async () => {
    const server = await openServer();
    await using client = await connect({ socketPath: server.socketPath });
    const reading = (async () => {
      for await (const _ of client.stream('event.follow', { follow: true }));
    })();
    const ended = expect(reading).rejects.toMatchObject({
      code: expect.stringMatching(/^(STOPPING|CANCELLED|UNAVAILABLE)$/),
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    await server[Symbol.asyncDispose]();
    await ended;
    await expect(connect({ socketPath: server.socketPath })).rejects.toMatchObject({ code: 'NO_KERNEL' });
    await expect(postRpc(server.socketPath, 'kernel.health', {})).rejects.toMatchObject({ code: 'NO_KERNEL' });
  });
});
