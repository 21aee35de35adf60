/** The user bus: what modules of one zone may say to each other, and what they never hear. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, fastConfig, startKernel, type KernelUnderTest } from '../support/kernel.ts';

const config = (bus: string): string => fastConfig(`bus: ${bus}\n`);
const LIMITS = '{ messagesPerSecond: 50, maxSubscriptions: 3, maxPayload: 4KiB, maxTopic: 32B, queueLength: 100 }';

/** Says, listens, and tells what it heard or how it was refused. */
const CODE = `const heard = [];
const outcome = async (run) => {
  try { return { ok: await run() }; } catch (error) { return { code: error.code, retryAfterMs: error.retryAfterMs ?? null }; }
};
export const listen = ({ topic }, ctx) => outcome(async () => { await ctx.bus.subscribe(topic, (payload, { from, topic }) => heard.push({ topic, from, payload })); return true; });
export const say = ({ topic, payload }, ctx) => outcome(() => ctx.bus.publish(topic, payload));
export const burst = async ({ topic, count }, ctx) => Promise.all(Array.from({ length: count }, (_, n) => outcome(() => ctx.bus.publish(topic, n))));
export const recall = () => heard;
export const throwing = (_, ctx) => outcome(async () => { await ctx.bus.subscribe('news', () => { throw new Error('bad listener'); }); return true; });
export const surface = (_, ctx) => ({ ctx: Object.keys(ctx).sort(), bus: Object.keys(ctx.bus).sort() });
`;
const functions = { listen: {}, say: {}, burst: {}, recall: {}, throwing: {}, surface: {} };

let kernel: KernelUnderTest;
beforeAll(async () => {
  kernel = await startKernel({ config: config(LIMITS) });
  const topics = [
    'news',
    'news.local',
    'kernel',
    'instance.ready',
    'x',
    'y',
    'z',
    'a-topic-name-that-is-over-thirty-two-bytes',
  ];
  const bus = { publish: topics, subscribe: topics };
  await kernel.install({ name: 'alice', code: CODE, functions, manifest: { bus } });
  await kernel.install({ name: 'bob', code: CODE, functions, manifest: { bus } });
  await kernel.install({ name: 'mute', code: CODE, functions, manifest: { bus: { subscribe: ['news'] } } });
  await kernel.install({ name: 'stranger', zone: 'stable', code: CODE, functions, manifest: { bus } });
});
afterAll(async () => {
  await kernel?.[Symbol.asyncDispose]();
});

type Heard = { topic: string; from: string; payload: unknown };
const recall = async (module: string): Promise<Heard[]> => (await kernel.call(module, 'recall')) as Heard[];

describe('the user bus', () => {
  it('carries messages between modules of one zone, in order, with the true sender', async () => {
    expect(await kernel.call('bob', 'listen', { topic: 'news' })).toEqual({ ok: true });
    expect(await kernel.call('stranger', 'listen', { topic: 'news' })).toEqual({ ok: true });
    expect(await kernel.call('alice', 'say', { topic: 'news', payload: { n: 1 } })).toEqual({ ok: { delivered: 1 } });
    expect(await kernel.call('alice', 'say', { topic: 'news', payload: { n: 2 } })).toEqual({ ok: { delivered: 1 } });
    await eventually('both arrived', async () => (await recall('bob')).length === 2);
    expect(await recall('bob')).toEqual([
      { topic: 'news', from: 'alice', payload: { n: 1 } },
      { topic: 'news', from: 'alice', payload: { n: 2 } },
    ]);
  });

  it('carries nothing from one zone to another', async () => {
    expect(await kernel.call('stranger', 'say', { topic: 'news', payload: 'hello?' })).toEqual({
      ok: { delivered: 1 },
    });
    await eventually('the stranger hears itself', async () => (await recall('stranger')).length === 1);
    expect((await recall('stranger')).map(({ from }) => from)).toEqual(['stranger']);
    expect((await recall('bob')).map(({ from }) => from)).toEqual(['alice', 'alice']);
  });

  it('denies what module.yaml does not declare', async () => {
    expect(await kernel.call('mute', 'say', { topic: 'news', payload: 1 })).toMatchObject({ code: 'DENIED' });
    expect(await kernel.call('mute', 'listen', { topic: 'news.local' })).toMatchObject({ code: 'DENIED' });
    expect(await kernel.call('mute', 'listen', { topic: 'news' })).toEqual({ ok: true });
    expect(await kernel.call('alice', 'say', { topic: 'undeclared', payload: 1 })).toMatchObject({ code: 'DENIED' });
    expect(await kernel.call('alice', 'listen', { topic: '*' })).toMatchObject({ code: 'INVALID_PARAMS' });
    expect(await kernel.call('alice', 'listen', { topic: 'news*' })).toMatchObject({ code: 'INVALID_PARAMS' });
  });

  it('survives a listener that throws', async () => {
    const pid = await kernel.instancePid('mute');
    expect(await kernel.call('mute', 'throwing')).toEqual({ ok: true });
    await kernel.call('alice', 'say', { topic: 'news', payload: 'again' });
    await eventually('it was told to its author', async () =>
      (await kernel.ctl(['logs', 'mute'])).stdout.includes('bad listener'),
    );
    expect((await recall('mute')).at(-1)).toMatchObject({ payload: 'again' });
    expect(await kernel.instancePid('mute')).toBe(pid);
  });

  it('refuses over the quotas, with advice when to try again', async () => {
    const outcomes = (await kernel.call('bob', 'burst', { topic: 'x', count: 100 })) as {
      ok?: unknown;
      code?: string;
      retryAfterMs?: number;
    }[];
    const refused = outcomes.filter(({ code }) => code === 'QUOTA_EXCEEDED');
    expect(outcomes.length - refused.length).toBeGreaterThanOrEqual(45);
    expect(outcomes.length - refused.length).toBeLessThanOrEqual(70);
    expect(refused.length).toBeGreaterThan(20);
    for (const { retryAfterMs } of refused) expect(retryAfterMs).toBeGreaterThan(0);
    // One module's quota is not another's.
    expect(await kernel.call('alice', 'say', { topic: 'x', payload: 1 })).toHaveProperty('ok');
    expect(await kernel.call('alice', 'say', { topic: 'x', payload: 'p'.repeat(5_000) })).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    });
    expect(
      await kernel.call('alice', 'say', { topic: 'a-topic-name-that-is-over-thirty-two-bytes', payload: 1 }),
    ).toMatchObject({ code: 'INVALID_PARAMS' });
    for (const topic of ['x', 'y', 'z']) await kernel.call('alice', 'listen', { topic });
    expect(await kernel.call('alice', 'listen', { topic: 'news' })).toMatchObject({ code: 'QUOTA_EXCEEDED' });
    await eventually(
      'the quota is there again',
      async () => 'ok' in ((await kernel.call('bob', 'say', { topic: 'y', payload: 1 })) as object),
    );
  });

  it('takes new quotas at once when the configuration is reloaded', async () => {
    writeFileSync(
      join(kernel.home, 'kernel.yaml'),
      config(
        LIMITS.replace('messagesPerSecond: 50', 'messagesPerSecond: 500')
          .replace('maxPayload: 4KiB', 'maxPayload: 8KiB')
          .replace('maxSubscriptions: 3', 'maxSubscriptions: 4'),
      ),
    );
    const { changes } = await kernel.rpc('config.reload', {});
    expect(changes.map(({ key, effect, applied }) => [key, effect, applied])).toEqual([
      ['bus.maxPayload', 'live', true],
      ['bus.messagesPerSecond', 'live', true],
      ['bus.maxSubscriptions', 'live', true],
    ]);
    const untilMs = performance.now() + 1_000;
    let accepted = 0;
    while (performance.now() < untilMs) {
      const outcomes = (await kernel.call('bob', 'burst', { topic: 'x', count: 100 })) as object[];
      accepted += outcomes.filter((outcome) => 'ok' in outcome).length;
    }
    // The old quota would have let through a hundred at most.
    expect(accepted).toBeGreaterThan(250);
    expect(await kernel.call('alice', 'say', { topic: 'x', payload: 'p'.repeat(5_000) })).toHaveProperty('ok');
    expect(await kernel.call('alice', 'listen', { topic: 'news' })).toEqual({ ok: true });
  });

  it("never carries the kernel's own events", async () => {
    // Listeners on everything that the kernel tells itself, while it tells a lot.
    const kinds = ['kernel', 'instance.ready'];
    for (const topic of kinds) await kernel.call('bob', 'listen', { topic });
    const count = (await recall('bob')).filter(({ topic }) => kinds.includes(topic)).length;
    await kernel.rpc('module.restart', { module: 'mute' });
    expect(await kernel.call('alice', 'say', { topic: 'news', payload: 'last' })).toHaveProperty('ok');
    await eventually('the message after them arrived', async () =>
      (await recall('bob')).some(({ payload }) => payload === 'last'),
    );
    expect((await recall('bob')).filter(({ topic }) => kinds.includes(topic))).toHaveLength(count);
    // And nothing said there reaches the events of the kernel.
    await kernel.call('alice', 'say', { topic: 'instance.ready', payload: 'forged-by-a-module' });
    expect((await kernel.ctl(['events', '--json', '-n', '1000'])).stdout).not.toContain('forged-by-a-module');
    expect(await kernel.call('alice', 'surface')).toMatchObject({ bus: ['publish', 'subscribe'] });
  });

  it('goes on after the kernel was replaced: subscriptions are told again', async () => {
    const pid = await kernel.instancePid('bob');
    await kernel.kill9();
    await kernel.start();
    expect(await kernel.instancePid('bob')).toBe(pid);
    await eventually('the subscription stands again', async () => {
      await kernel.call('alice', 'say', { topic: 'news', payload: 'after' });
      return (await recall('bob')).some(({ payload }) => payload === 'after');
    });
    expect((await recall('bob')).at(-1)).toMatchObject({ from: 'alice', payload: 'after' });
  });
});
