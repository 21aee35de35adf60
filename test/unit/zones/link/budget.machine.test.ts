import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newBudget, stepBudget, type BudgetEvent } from '../../../../zones/link/budget.machine.ts';

const LIMITS = { framesPerSecond: 10, bytesPerSecond: 1000 };
const frame: BudgetEvent = { kind: 'unsolicitedFrame', bytes: 1 };

/** Runs events and returns the effects that were not `none`, with their times. */
const run = (events: readonly (readonly [number, BudgetEvent])[]): string[] => {
  let state = newBudget(0);
  const told: string[] = [];
  for (const [atMs, event] of events) {
    const decision = stepBudget(state, event, LIMITS, atMs);
    state = decision.state;
    if (decision.effect.kind !== 'none') told.push(`${atMs} ${decision.effect.kind}`);
  }
  return told;
};
const burst = (atMs: number, count: number): [number, BudgetEvent][] =>
  Array.from({ length: count }, () => [atMs, frame]);

describe('stepBudget', () => {
  it('lets pass what is within budget, window after window', () => {
    expect(run([...burst(0, 10), ...burst(1000, 10), ...burst(2000, 10)])).toEqual([]);
  });

  it('pauses for the rest of the window once, then resumes', () => {
    expect(run([...burst(300, 30), [1000, { kind: 'windowEnded' }]])).toEqual(['300 pause', '1000 resume']);
  });

  it('counts a frame that costs more as more', () => {
    expect(
      run([
        [0, { ...frame, frames: 10 }],
        [1, frame],
      ]),
    ).toEqual(['1 pause']);
    expect(
      run([
        [0, { ...frame, frames: 9 }],
        [1, frame],
      ]),
    ).toEqual([]);
  });

  it('takes three windows over budget in a row for a violation', () => {
    expect(
      run([
        ...burst(0, 11),
        [1000, { kind: 'windowEnded' }],
        ...burst(1001, 11),
        [2000, { kind: 'windowEnded' }],
        ...burst(2001, 11),
      ]),
    ).toEqual(['0 pause', '1000 resume', '1001 pause', '2000 resume', '2001 violation']);
  });

  it('forgives after a quiet window', () => {
    expect(
      run([
        ...burst(0, 11),
        [1000, { kind: 'windowEnded' }],
        ...burst(1001, 11),
        [2000, { kind: 'windowEnded' }],
        ...burst(3100, 1),
        ...burst(4200, 11),
      ]).at(-1),
    ).toBe('4200 pause');
  });

  it('slows down solicited bytes without a strike', () => {
    const bytes: BudgetEvent = { kind: 'bytesReceived', bytes: 2000 };
    const told = run(
      [0, 1000, 2000, 3000, 4000, 5000].flatMap(
        (atMs) =>
          [
            [atMs, bytes],
            [atMs + 1000, { kind: 'windowEnded' }],
          ] as [number, BudgetEvent][],
      ),
    );
    expect(told.some((line) => line.endsWith('violation'))).toBe(false);
    expect(told.filter((line) => line.endsWith('pause'))).toHaveLength(6);
  });

  it('never pauses twice without a resume, for any sequence', () => {
    const event = fc.oneof(
      fc.constant(frame),
      fc.record({ kind: fc.constant('bytesReceived' as const), bytes: fc.nat(3000) }),
      fc.constant({ kind: 'windowEnded' as const }),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(700), event), { maxLength: 60 }), (steps) => {
        let nowMs = 0;
        const told = run(steps.map(([gap, one]) => [(nowMs += gap), one])).map((line) => line.split(' ')[1]);
        let paused = false;
        for (const effect of told) {
          if (effect === 'pause') {
            expect(paused).toBe(false);
            paused = true;
          }
          if (effect === 'resume') {
            expect(paused).toBe(true);
            paused = false;
          }
        }
      }),
    );
  });
});
