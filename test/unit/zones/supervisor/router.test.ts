import { describe, expect, it } from 'vitest';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import type { Clock } from '../../../../Kernel/contract/ports.ts';
import type { UnitState } from '../../../../Kernel/core/watchdog/unit.machine.ts';
import type { Instance } from '../../../../zones/instance/instance.ports.ts';
import type { DesiredModule } from '../../../../zones/supervisor/desired.ts';
import { createRouter, type RoutedModule } from '../../../../zones/supervisor/router.ts';
import type { Unit } from '../../../../zones/unit/unit.runner.ts';

/** A clock that stands still until it is told to go on. */
const manualClock = () => {
  let nowMs = 0;
  const timers = new Set<{ atMs: number; run: () => void }>();
  const clock: Clock = {
    monotonicMs: () => nowMs,
    wallMs: () => nowMs,
    after: (delayMs, run) => {
      const timer = { atMs: nowMs + delayMs, run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
  };
  const advance = async (ms: number): Promise<void> => {
    nowMs += ms;
    for (const timer of [...timers]) {
      if (timer.atMs > nowMs || !timers.delete(timer)) continue;
      timer.run();
    }
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { clock, advance, timers: () => timers.size };
};

const HISTORY = { restarts: 0, deathsMs: [], failures: 0 };
const stateOf = (kind: 'running' | 'starting' | 'stopped' | 'quarantined'): UnitState =>
  kind === 'running'
    ? { kind, attempt: 1, instance: 'i-000000000001' as never, history: HISTORY }
    : kind === 'quarantined'
      ? { kind, attempt: 1, reason: 'it failed', deaths: 4, history: HISTORY }
      : { kind, attempt: 1, history: HISTORY };

type Answer = (name: string, params: unknown, options: { timeoutMs: number; signal: AbortSignal }) => Promise<unknown>;

const unitOf = (kind: Parameters<typeof stateOf>[0], answer: Answer = async () => 'done', inFlight = 0): Unit =>
  ({
    state: () => stateOf(kind),
    reason: () => 'it failed',
    serving: () => (kind === 'running' ? ({ call: answer, inFlight: () => inFlight } as unknown as Instance) : null),
  }) as unknown as Unit;

const contractOf = (more: object = {}) => ({
  timeoutMs: 1_000,
  idempotent: false,
  checkParams: () => [],
  checkResult: () => [],
  ...more,
});

const bench = (units: Unit[], contract: object = {}, zoneComing = false) => {
  const { clock, advance, timers } = manualClock();
  const current = { units };
  const desired = {
    name: 'm',
    zone: 'stable',
    functions: new Map([['f', contractOf(contract)]]),
  } as unknown as DesiredModule;
  const find = (module: string): RoutedModule | null =>
    module === 'm' ? { desired, units: current.units, zoneComing, zoneFault: null } : null;
  const router = createRouter({ clock, find, defaultTimeoutMs: () => 5_000 });
  const call = (options: { timeoutMs?: number; signal?: AbortSignal } = {}, name = 'f', module = 'm') =>
    router
      .call(module, name, {}, { signal: new AbortController().signal, ...options })
      .catch((error: unknown) => (error as KernelError).code);
  return { router, call, advance, timers, current };
};

describe('the router', () => {
  it('takes the ready instance with the fewest calls in flight', async () => {
    const { call } = bench([
      unitOf('running', async () => 'busy', 3),
      unitOf('starting'),
      unitOf('running', async () => 'idle', 1),
    ]);
    expect(await call()).toBe('idle');
  });

  it('knows neither other modules nor other functions', async () => {
    const { call } = bench([unitOf('running')]);
    expect(await call({}, 'g')).toBe('FUNCTION_NOT_FOUND');
    expect(await call({}, 'f', 'other')).toBe('MODULE_NOT_FOUND');
  });

  it('lets no parameters and no result through that do not fit', async () => {
    const issues = () => [{ pointer: '/a', message: 'is missing' }];
    let asked = 0;
    const count = async (): Promise<string> => `asked ${(asked += 1)}`;
    expect(await bench([unitOf('running', count)], { checkParams: issues }).call()).toBe('INVALID_PARAMS');
    expect(asked).toBe(0);
    expect(await bench([unitOf('running', count)], { checkResult: issues }).call()).toBe('RESULT_INVALID');
    expect(asked).toBe(1);
  });

  it('waits for an instance that is coming, and is woken by it', async () => {
    const { router, call, current, timers } = bench([unitOf('starting')]);
    const result = call();
    expect(router.waiting()).toBe(1);
    current.units = [unitOf('running')];
    router.wake();
    expect(await result).toBe('done');
    expect([router.waiting(), timers()]).toEqual([0, 0]);
  });

  it('waits no longer than the caller allows, and leaves nothing behind', async () => {
    const { router, call, advance, timers } = bench([unitOf('starting')]);
    const result = call({ timeoutMs: 300 });
    await advance(299);
    expect(router.waiting()).toBe(1);
    await advance(1);
    expect(await result).toBe('MODULE_UNAVAILABLE');
    expect([router.waiting(), timers()]).toEqual([0, 0]);
  });

  it('stops waiting when the caller withdraws', async () => {
    const { router, call } = bench([unitOf('starting')]);
    const withdrawn = new AbortController();
    const result = call({ signal: withdrawn.signal });
    withdrawn.abort();
    expect(await result).toBe('CANCELLED');
    expect(router.waiting()).toBe(0);
  });

  it('does not wait for what will not come', async () => {
    expect(await bench([unitOf('quarantined'), unitOf('quarantined')]).call()).toBe('MODULE_QUARANTINED');
    expect(await bench([unitOf('stopped')]).call()).toBe('MODULE_UNAVAILABLE');
    expect(await bench([]).call()).toBe('MODULE_UNAVAILABLE');
  });

  it('waits for a stopped module whose zone is on its way up', async () => {
    const { router, call, current } = bench([unitOf('stopped')], {}, true);
    const result = call();
    expect(router.waiting()).toBe(1);
    current.units = [unitOf('running')];
    router.wake();
    expect(await result).toBe('done');
  });

  it('repeats a call whose instance was lost once, and only a function that declares it may be', async () => {
    let asked = 0;
    const lost: Answer = async () => {
      asked += 1;
      throw new KernelError('INSTANCE_LOST', 'gone');
    };
    expect(await bench([unitOf('running', lost)]).call()).toBe('INSTANCE_LOST');
    expect(asked).toBe(1);
    expect(await bench([unitOf('running', lost)], { idempotent: true }).call()).toBe('INSTANCE_LOST');
    expect(asked).toBe(3);
    const failing: Answer = async () => {
      asked += 1;
      throw new KernelError('MODULE_ERROR', 'its own fault');
    };
    expect(await bench([unitOf('running', failing)], { idempotent: true }).call()).toBe('MODULE_ERROR');
    expect(asked).toBe(4);
  });

  it('gives a call no more time than the manifest allows, nor than the caller does', async () => {
    const given: number[] = [];
    const note: Answer = async (_name, _params, { timeoutMs }) => void given.push(timeoutMs);
    const { call } = bench([unitOf('running', note)], { timeoutMs: 1_000 });
    await call();
    await call({ timeoutMs: 400 });
    await call({ timeoutMs: 60_000 });
    expect(given).toEqual([1_000, 400, 1_000]);
  });

  it('lets only so many calls wait', async () => {
    const { router, call, advance } = bench([unitOf('starting')]);
    const waiting = Array.from({ length: 1_024 }, () => call({ timeoutMs: 100 }));
    expect(router.waiting()).toBe(1_024);
    expect(await call({ timeoutMs: 100 })).toBe('LIMIT_EXCEEDED');
    await advance(100);
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['MODULE_UNAVAILABLE']));
    expect(router.waiting()).toBe(0);
  });
});
