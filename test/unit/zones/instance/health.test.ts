import { describe, expect, it } from 'vitest';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import type { Clock } from '../../../../Kernel/contract/ports.ts';
import { startHealthCheck } from '../../../../zones/instance/health.ts';

/** A clock that runs its one timer when told to. */
const createManualClock = () => {
  let pending: (() => void) | null = null;
  const clock: Clock = {
    monotonicMs: () => 0,
    wallMs: () => 0,
    after: (_delayMs, fn) => {
      pending = fn;
      return () => {
        if (pending === fn) pending = null;
      };
    },
  };
  const tick = async (): Promise<void> => {
    const fn = pending;
    pending = null;
    fn?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { clock, tick, waiting: () => pending !== null };
};

const check = { function: 'health', intervalMs: 100, timeoutMs: 50, failures: 3 };

/** Runs a check whose answers are these, in order; `null` is a good one. */
const run = async (
  answers: readonly (KernelError | null)[],
): Promise<{ verdicts: string[]; asked: number; waiting: boolean }> => {
  const { clock, tick, waiting } = createManualClock();
  const verdicts: string[] = [];
  let asked = 0;
  using _check = startHealthCheck({
    check,
    clock,
    call: async (name) => {
      expect(name).toBe('health');
      const answer = answers[asked] ?? null;
      asked += 1;
      if (answer !== null) throw answer;
    },
    onUnhealthy: (detail) => verdicts.push(detail),
  });
  for (let turn = 0; turn < answers.length; turn += 1) await tick();
  return { verdicts, asked, waiting: waiting() };
};

const bad = new KernelError('MODULE_ERROR', 'no database');
const busy = new KernelError('LIMIT_EXCEEDED', 'too many in flight');

describe('the health check', () => {
  it('says unhealthy once, after so many failures in a row, with the last reason, and asks no more', async () => {
    const { verdicts, asked, waiting } = await run([bad, bad, bad, bad]);
    expect(verdicts).toEqual(['health failed 3 times in a row, last with MODULE_ERROR: no database']);
    expect(asked).toBe(3);
    expect(waiting).toBe(false);
  });

  it('begins to count anew after a good answer', async () => {
    expect((await run([bad, bad, null, bad, bad])).verdicts).toEqual([]);
  });

  it('does not count a full queue', async () => {
    expect((await run([busy, busy, busy, busy])).verdicts).toEqual([]);
  });

  it('asks no more once it is disposed of', async () => {
    const { clock, tick, waiting } = createManualClock();
    let asked = 0;
    const running = startHealthCheck({
      check,
      clock,
      call: async () => {
        asked += 1;
      },
      onUnhealthy: () => undefined,
    });
    await tick();
    running[Symbol.dispose]();
    await tick();
    expect(asked).toBe(1);
    expect(waiting()).toBe(false);
  });
});
