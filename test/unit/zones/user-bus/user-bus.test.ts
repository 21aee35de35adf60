import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KernelError } from '../../../../Kernel/contract/errors.ts';
import type { InstanceId, ModuleName } from '../../../../Kernel/contract/ids.ts';
import type { Clock } from '../../../../Kernel/contract/ports.ts';
import { newTokenBucket, takeToken } from '../../../../zones/user-bus/token-bucket.machine.ts';
import { judgeTopic, matchesTopic } from '../../../../zones/user-bus/topic-rules.verdict.ts';
import { createUserBus, type UserBusLimits } from '../../../../zones/user-bus/user-bus.ts';

const LIMITS: UserBusLimits = {
  maxPayloadBytes: 100,
  maxTopicBytes: 20,
  messagesPerSecond: 5,
  maxSubscriptions: 2,
  queueLength: 3,
};

/** A clock that moves only when told to. */
const handClock = (): Clock & { advance: (ms: number) => void } => {
  let nowMs = 0;
  let timers: { atMs: number; fn: () => void }[] = [];
  return {
    monotonicMs: () => nowMs,
    wallMs: () => nowMs,
    after: (delayMs, fn) => {
      const timer = { atMs: nowMs + delayMs, fn };
      timers.push(timer);
      return () => {
        timers = timers.filter((one) => one !== timer);
      };
    },
    advance: (ms) => {
      nowMs += ms;
      const due = timers.filter(({ atMs }) => atMs <= nowMs);
      timers = timers.filter(({ atMs }) => atMs > nowMs);
      for (const { fn } of due) fn();
    },
  };
};

const setUp = (limits: Partial<UserBusLimits> = {}) => {
  const clock = handClock();
  const bus = createUserBus({ limits: () => ({ ...LIMITS, ...limits }), clock });
  const join = (module: string, allow: readonly string[] = ['*']) => {
    const got: unknown[] = [];
    const reader = { reads: true };
    const membership = bus.join({
      instance: `i-${module}` as InstanceId,
      module: module as ModuleName,
      allow: { publish: allow, subscribe: allow },
      deliver: (message) => got.push([message.topic, message.from, message.payload]),
      writable: () => reader.reads,
    });
    return { ...membership, got, reader };
  };
  return { clock, bus, join };
};
const thrown = (fn: () => unknown): KernelError => {
  try {
    fn();
  } catch (error) {
    return error as KernelError;
  }
  throw new Error('nothing was thrown');
};

describe('the user bus', () => {
  it('delivers to every subscriber of the topic and names the sender by the record', () => {
    const { join } = setUp();
    const a = join('a');
    const b = join('b');
    const c = join('c');
    a.subscribe('news');
    b.subscribe('news');
    c.subscribe('other');
    expect(a.publish('news', { n: 1 })).toEqual({ delivered: 2 });
    expect(a.got).toEqual([['news', 'a', { n: 1 }]]);
    expect(b.got).toEqual([['news', 'a', { n: 1 }]]);
    expect(c.got).toEqual([]);
    b.unsubscribe('news');
    expect(a.publish('news', 2)).toEqual({ delivered: 1 });
  });

  it('refuses topics that the manifest does not declare, for publishing and subscribing alike', () => {
    const { join } = setUp();
    const member = join('a', ['chat.*', 'exact']);
    member.subscribe('chat.room');
    member.subscribe('exact');
    expect(thrown(() => member.subscribe('exactly')).code).toBe('DENIED');
    expect(thrown(() => member.publish('other', 1)).code).toBe('DENIED');
    expect(thrown(() => member.publish('Chat', 1)).code).toBe('INVALID_PARAMS');
    expect(thrown(() => join('b', []).publish('chat.room', 1)).code).toBe('DENIED');
  });

  it('bounds topics, payloads and subscriptions', () => {
    const { join } = setUp();
    const member = join('a');
    expect(thrown(() => member.subscribe('x'.repeat(21))).code).toBe('INVALID_PARAMS');
    expect(thrown(() => member.publish('t', 'x'.repeat(99))).code).toBe('PAYLOAD_TOO_LARGE');
    member.subscribe('a');
    member.subscribe('b');
    member.subscribe('b');
    expect(thrown(() => member.subscribe('c')).code).toBe('QUOTA_EXCEEDED');
  });

  it('holds a module to its rate, over all its instances, and says exactly when to come back', () => {
    const { join, clock } = setUp();
    const one = join('a');
    const two = join('a');
    const other = join('b');
    for (let count = 0; count < 5; count += 1) (count % 2 === 0 ? one : two).publish('t', count);
    const refused = thrown(() => two.publish('t', 6));
    expect(refused).toMatchObject({ code: 'QUOTA_EXCEEDED', retryAfterMs: 200 });
    other.publish('t', 1);
    clock.advance(refused.retryAfterMs ?? 0);
    two.publish('t', 7);
    expect(thrown(() => one.publish('t', 8)).code).toBe('QUOTA_EXCEEDED');
  });

  it('lets a slow receiver lose its own oldest messages and harms nobody else', () => {
    const { join, clock } = setUp({ messagesPerSecond: 100 });
    const sender = join('a');
    const slow = join('slow');
    const quick = join('quick');
    slow.subscribe('t');
    quick.subscribe('t');
    slow.reader.reads = false;
    for (let count = 1; count <= 10; count += 1) sender.publish('t', count);
    expect(quick.got).toHaveLength(10);
    expect(slow.got).toEqual([]);
    expect(slow.lost()).toBe(7);
    clock.advance(20);
    slow.reader.reads = true;
    clock.advance(20);
    expect(slow.got.map((one) => (one as unknown[])[2])).toEqual([8, 9, 10]);
    expect(quick.lost()).toBe(0);
  });

  it('forgets who left', () => {
    const { join, bus } = setUp();
    const a = join('a');
    const b = join('b');
    b.subscribe('t');
    b.leave();
    b.leave();
    expect(a.publish('t', 1)).toEqual({ delivered: 0 });
    expect(thrown(() => b.publish('t', 1)).code).toBe('UNAVAILABLE');
    expect(thrown(() => b.subscribe('t')).code).toBe('UNAVAILABLE');
    expect(bus.members()).toBe(1);
  });
});

describe('takeToken', () => {
  it('never lets more through than the rate and one burst, and its advice is right', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.array(fc.nat(300), { maxLength: 200 }), (rate, gaps) => {
        let state = newTokenBucket(rate, 0);
        let nowMs = 0;
        let taken = 0;
        for (const gap of gaps) {
          nowMs += gap;
          const decision = takeToken(state, rate, nowMs);
          state = decision.state;
          if (decision.taken) taken += 1;
          else expect(takeToken(state, rate, nowMs + decision.retryAfterMs + 1e-6).taken).toBe(true);
        }
        expect(taken).toBeLessThanOrEqual(rate + (nowMs / 1000) * rate + 1e-6);
      }),
    );
  });
});

describe('topic rules', () => {
  it('know a wildcard only at the end', () => {
    expect(matchesTopic('a.*', 'a.b')).toBe(true);
    expect(matchesTopic('a.*', 'ab')).toBe(false);
    expect(matchesTopic('*', 'anything')).toBe(true);
    expect(matchesTopic('a', 'ab')).toBe(false);
    expect(judgeTopic('a', [], 100, 'publish')).toMatchObject({ allowed: false, code: 'DENIED' });
  });
});
