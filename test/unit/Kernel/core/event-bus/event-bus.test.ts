import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KernelEvent } from '../../../../../Kernel/contract/operations/shapes.ts';
import { createEventBus } from '../../../../../Kernel/core/event-bus/event-bus.ts';
import { createListenerQueue } from '../../../../../Kernel/core/event-bus/listener-queue.ts';
import { SEVERITIES, type Severity } from '../../../../../Kernel/core/event-bus/severity.ts';
import { createClock } from '../../../../../daemon/adapters/clock.ts';

const bus = (capacity = 100) => createEventBus({ clock: createClock(), capacity });
const news = (kind: string, severity: Severity = 'info') => ({ kind, severity, reason: 'because' });
const until = async (condition: () => boolean) => {
  for (let i = 0; i < 400 && !condition(); i += 1) await sleep(5);
  expect(condition()).toBe(true);
};

describe('the queue of a listener', () => {
  it('agrees with a dumb model for any order of events', () => {
    const step = fc.oneof(fc.constantFrom(...SEVERITIES), fc.constant('take' as const));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(step, { maxLength: 60 }), (capacity, steps) => {
        const queue = createListenerQueue(capacity);
        let model: KernelEvent[] = [];
        steps.forEach((what, seq) => {
          if (what === 'take') {
            const best = model.toSorted(
              (a, b) => SEVERITIES.indexOf(b.severity) - SEVERITIES.indexOf(a.severity) || a.seq - b.seq,
            )[0];
            expect(queue.take()).toEqual(best);
            model = model.filter((item) => item !== best);
          } else {
            const item = { ...news('x', what), seq, at: '' };
            model.push(item);
            const worst = model.toSorted(
              (a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) || a.seq - b.seq,
            )[0];
            const dropped = model.length > capacity ? worst! : null;
            expect(queue.put(item)).toEqual(dropped);
            model = model.filter((other) => other !== dropped);
          }
          expect(queue.length()).toBe(model.length);
        });
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('the event bus', () => {
  it('delivers after publishing, critical first, and only what was asked for', async () => {
    const seen: string[] = [];
    const events = bus();
    events.subscribe({ name: 'test', minSeverity: 'warn', capacity: 10, onEvent: (item) => void seen.push(item.kind) });
    events.publish(news('a', 'warn'));
    events.publish(news('b', 'info'));
    events.publish(news('c', 'error'));
    events.publish(news('d', 'critical'));
    expect(seen).toEqual([]);
    await until(() => seen.length === 3);
    expect(seen).toEqual(['d', 'c', 'a']);
  });

  it('harms nobody when a listener hangs, and counts what that one lost', async () => {
    const seen: number[] = [];
    const events = bus();
    events.subscribe({ name: 'hung', capacity: 5, onEvent: () => new Promise(() => undefined) });
    events.subscribe({ name: 'well', capacity: 1_000, onEvent: (item) => void seen.push(item.seq) });
    for (let i = 0; i < 500; i += 1) events.publish(news('x'));
    await until(() => seen.length === 500);
    const [hung, well] = events.figures().listeners;
    expect(hung).toMatchObject({ name: 'hung', waiting: 4, delivered: 0 });
    expect(hung!.dropped).toBeGreaterThan(490);
    expect(well).toMatchObject({ delivered: 500, dropped: 0 });
  });

  it('quarantines a listener that throws, says so, and does not count single failures', async () => {
    const reports: string[] = [];
    let calls = 0;
    const events = bus();
    events.subscribe({
      name: 'broken',
      capacity: 100,
      onEvent: () => {
        calls += 1;
        throw new Error('no');
      },
    });
    events.subscribe({
      name: 'now and then',
      capacity: 100,
      onEvent: (item) => {
        if (item.seq % 2 === 0) throw new Error('even');
      },
    });
    events.subscribe({
      name: 'reports',
      capacity: 100,
      onEvent: (item) => {
        if (item.kind === 'listenerQuarantined') reports.push(item.reason);
      },
    });
    for (let i = 0; i < 30; i += 1) events.publish(news('x'));
    await until(() => reports.length === 1);
    await sleep(20);
    expect(calls).toBe(5);
    expect(reports).toEqual(['the listener broken failed 5 times in a row: no']);
    expect(events.figures().listeners.map((row) => row.quarantined)).toEqual([true, false, false]);
  });

  it('delivers nothing after a subscription was disposed of', async () => {
    let calls = 0;
    const events = bus();
    const subscription = events.subscribe({ name: 'gone', capacity: 9, onEvent: () => void (calls += 1) });
    events.publish(news('x'));
    subscription[Symbol.dispose]();
    await sleep(20);
    expect([calls, events.figures().listeners]).toEqual([0, []]);
  });

  it('bounds its listeners', () => {
    const events = bus();
    const add = () => events.subscribe({ name: 'x', capacity: 1, onEvent: () => undefined });
    for (let i = 0; i < 64; i += 1) add();
    expect(add).toThrow(/64 listeners/);
  });
});

describe('following', () => {
  const collect = async (items: AsyncIterable<KernelEvent>, count: number) => {
    const seen: KernelEvent[] = [];
    for await (const item of items) if (seen.push(item) === count) break;
    return seen;
  };
  const signal = () => new AbortController().signal;

  it('lists the newest and ends', async () => {
    const events = bus(10);
    for (let i = 0; i < 25; i += 1) events.publish(news('x'));
    const seqs = async (limit: number) =>
      (await collect(events.follow({ limit, follow: false, signal: signal() }), 999)).map((item) => item.seq);
    expect(await seqs(3)).toEqual([23, 24, 25]);
    expect(await seqs(100)).toEqual([16, 17, 18, 19, 20, 21, 22, 23, 24, 25]);
    expect(await seqs(0)).toEqual([]);
  });

  it('goes from old to new without a gap or a double', async () => {
    const events = bus(1_000);
    for (let i = 0; i < 5; i += 1) events.publish(news('old'));
    const followed = collect(events.follow({ limit: 5, follow: true, signal: signal() }), 205);
    for (let i = 0; i < 200; i += 1) {
      events.publish(news('new'));
      if (i % 7 === 0) await sleep(0);
    }
    expect((await followed).map((item) => item.seq)).toEqual(Array.from({ length: 205 }, (_, i) => i + 1));
  });

  it('tells a reader who was too slow how many it missed', async () => {
    const events = bus(10);
    events.publish(news('first'));
    const items = events.follow({ limit: 1, follow: true, signal: signal() });
    expect((await items.next()).value).toMatchObject({ seq: 1 });
    for (let i = 0; i < 50; i += 1) events.publish(news('x'));
    expect((await items.next()).value).toMatchObject({
      kind: 'eventsMissed',
      reason: '40 events were overwritten before this reader took them',
    });
    expect((await items.next()).value).toMatchObject({ seq: 42 });
  });

  it('ends when its signal aborts while it waits', async () => {
    const events = bus();
    const controller = new AbortController();
    const followed = collect(events.follow({ limit: 0, follow: true, signal: controller.signal }), 99);
    await sleep(5);
    controller.abort();
    expect(await followed).toEqual([]);
  });
});
