import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InstanceId } from '../../../../../Kernel/contract/ids.ts';
import {
  backoffDelayMs,
  createUnitStep,
  newUnit,
  type RestartPolicy,
  type UnitEffect,
  type UnitEvent,
  type UnitState,
} from '../../../../../Kernel/core/watchdog/unit.machine.ts';
import { explore } from '../../../../support/explore.ts';

const policy: RestartPolicy = {
  backoff: { initialMs: 100, maxMs: 1_000, factor: 2, jitter: 0.5 },
  stableAfterMs: 5_000,
  intensity: { restarts: 3, windowMs: 60_000 },
};
const step = createUnitStep(policy);
const instance = 'i-000000000001' as InstanceId;

const eventsIn = (state: UnitState): UnitEvent[] => [
  { kind: 'startRequested' },
  { kind: 'stopRequested' },
  { kind: 'replaceRequested' },
  { kind: 'adopted', instance, restarts: 2 },
  ...[state.attempt, state.attempt - 1].flatMap((attempt): UnitEvent[] => [
    { kind: 'instanceReady', attempt, instance },
    { kind: 'instanceLost', attempt, reason: 'x', fault: 'module', jitter: 0, siblingDeaths: 0 },
    { kind: 'instanceLost', attempt, reason: 'x', fault: 'host', jitter: 0, siblingDeaths: 0 },
    { kind: 'instanceGone', attempt, cause: 'exited: exit code 1' },
    { kind: 'backoffElapsed', attempt },
    { kind: 'stableElapsed', attempt },
  ]),
];
const walk = explore<UnitState, UnitEvent>({
  initial: [newUnit],
  eventsIn,
  step: (state, event) => step(state, event, 0),
  key: (state) =>
    JSON.stringify({
      kind: state.kind,
      restart: 'restart' in state ? state.restart : null,
      failures: Math.min(state.history.failures, 6),
      deaths: state.history.deathsMs.length,
    }),
});
const effectsOf = (effects: readonly unknown[]) => effects as readonly UnitEffect[];

describe(`the unit machine, all ${walk.states.length} states and ${walk.transitions.length} transitions`, () => {
  it('reaches every kind of state and gives a reason for everything', () => {
    expect(new Set(walk.states.map(({ kind }) => kind))).toEqual(
      new Set(['stopped', 'starting', 'running', 'backoff', 'quarantined', 'stopping']),
    );
    for (const { reason } of walk.transitions) expect(reason).not.toBe('');
  });

  it('drops every late result', () => {
    for (const { before, event, after, effects } of walk.transitions) {
      if (!('attempt' in event) || event.attempt === before.attempt) continue;
      expect(after).toBe(before);
      expect(effects).toEqual([]);
    }
  });

  it('launches exactly one instance an attempt, with a new number each', () => {
    for (const { before, after, effects } of walk.transitions) {
      const launches = effectsOf(effects).filter((effect) => effect.kind === 'launch');
      expect(launches.length).toBeLessThanOrEqual(1);
      for (const launch of launches) {
        expect(launch.attempt).toBe(before.attempt + 1);
        expect(after).toMatchObject({ kind: 'starting', attempt: launch.attempt });
      }
    }
  });

  it('never has more deaths in its memory than it needs', () => {
    for (const state of walk.states)
      expect(state.history.deathsMs.length).toBeLessThanOrEqual(policy.intensity.restarts + 1);
  });

  it('leaves quarantine only when it is replaced or stopped', () => {
    for (const { before, event, after } of walk.transitions) {
      if (before.kind === 'quarantined' && after.kind !== 'quarantined')
        expect(['replaceRequested', 'stopRequested']).toContain(event.kind);
    }
  });

  it('never counts a failure of the host', () => {
    for (const { before, event, after } of walk.transitions) {
      if (event.kind !== 'instanceLost' || event.fault !== 'host') continue;
      expect(after.history).toEqual(before.history);
      expect(after.kind === 'quarantined').toBe(before.kind === 'quarantined');
    }
  });
});

/** Runs a unit through deaths at these distances; each instance becomes ready at once. */
const live = (gapsMs: readonly number[]): { readonly state: UnitState; readonly delays: readonly number[] } => {
  let nowMs = 0;
  let state = step(newUnit, { kind: 'startRequested' }, nowMs).state;
  const delays: number[] = [];
  for (const gapMs of gapsMs) {
    if (state.kind === 'quarantined') break;
    state = step(state, { kind: 'instanceReady', attempt: state.attempt, instance }, nowMs).state;
    nowMs += gapMs;
    if (gapMs >= policy.stableAfterMs)
      state = step(state, { kind: 'stableElapsed', attempt: state.attempt }, nowMs).state;
    state = step(
      state,
      { kind: 'instanceLost', attempt: state.attempt, reason: 'x', fault: 'module', jitter: 0, siblingDeaths: 0 },
      nowMs,
    ).state;
    if (state.kind === 'backoff') {
      delays.push(state.untilMs - nowMs);
      nowMs = state.untilMs;
      state = step(state, { kind: 'backoffElapsed', attempt: state.attempt }, nowMs).state;
    } else if (state.kind === 'starting') delays.push(0);
  }
  return { state, delays };
};

describe('quarantine', () => {
  const lost = (state: UnitState, siblingDeaths: number): UnitState =>
    step(
      state,
      {
        kind: 'instanceLost',
        attempt: state.attempt,
        reason: 'connectionLost: gone',
        fault: 'module',
        jitter: 0,
        siblingDeaths,
      },
      0,
    ).state;

  it('counts the deaths of the other places of the module', () => {
    const started = step(newUnit, { kind: 'startRequested' }, 0).state;
    expect(lost(started, policy.intensity.restarts - 1).kind).not.toBe('quarantined');
    expect(lost(started, policy.intensity.restarts).kind).toBe('quarantined');
  });

  it('is told with the cause that the engine names, once the container is gone', () => {
    const state = lost(step(newUnit, { kind: 'startRequested' }, 0).state, policy.intensity.restarts);
    const { effects } = step(
      state,
      { kind: 'instanceGone', attempt: state.attempt, cause: 'oom: the memory limit was reached' },
      0,
    );
    const reason = '4 failures within 60000 ms, the last: oom: the memory limit was reached';
    expect(effects).toEqual([{ kind: 'tellQuarantined', reason }]);
  });
});

describe('restarting', () => {
  it('is at once after the first failure, then doubles', () => {
    expect(live([10, 10, 10]).delays).toEqual([0, 100, 200]);
  });

  it('begins afresh after stability', () => {
    expect(live([10, 10, 6_000, 10]).delays.slice(0, 3)).toEqual([0, 100, 0]);
  });

  it('ends in quarantine with a reason when the intensity is exhausted', () => {
    const { state } = live([10, 10, 10, 10]);
    expect(state).toMatchObject({ kind: 'quarantined' });
    expect(state.kind === 'quarantined' && state.reason).toContain('4 failures within 60000 ms');
  });

  it('never quarantines what fails rarely: at most the allowed number of deaths in any window (against a dumb model)', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 90_000 }), { maxLength: 30 }), (gapsMs) => {
        const { state, delays } = live(gapsMs);
        // The model: replay the times of death and look at every window.
        const deaths: number[] = [];
        let nowMs = 0;
        let dead = false;
        for (const [index, gapMs] of gapsMs.entries()) {
          nowMs += gapMs;
          deaths.push(nowMs);
          if (deaths.filter((at) => nowMs - at < policy.intensity.windowMs).length > policy.intensity.restarts) {
            dead = true;
            break;
          }
          nowMs += delays[index] ?? 0;
        }
        expect(state.kind === 'quarantined').toBe(dead);
      }),
    );
  });

  it('keeps every delay within its bounds', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 10_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (failures, jitter) => {
          const delayMs = backoffDelayMs(policy, failures, jitter);
          expect(delayMs).toBeGreaterThanOrEqual(
            failures <= 1 ? 0 : policy.backoff.initialMs * (1 - policy.backoff.jitter) - 1,
          );
          expect(delayMs).toBeLessThanOrEqual(policy.backoff.maxMs);
        },
      ),
    );
  });
});
