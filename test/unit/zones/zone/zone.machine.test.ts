import { describe, expect, it } from 'vitest';
import {
  newZone,
  stepZone,
  type ZoneEffect,
  type ZoneEvent,
  type ZoneState,
} from '../../../../zones/zone/zone.machine.ts';
import { explore } from '../../../support/explore.ts';

/** Results carry the number of the attempt that asked for them: the present one, and one that is past. */
const eventsIn = (state: ZoneState): ZoneEvent[] =>
  [state.attempt, state.attempt - 1]
    .flatMap((attempt): ZoneEvent[] => [
      { kind: 'prepared', attempt },
      { kind: 'prepareFailed', attempt, code: 'ENGINE_UNREACHABLE', reason: 'away', remedy: null, retry: true },
      {
        kind: 'prepareFailed',
        attempt,
        code: 'ISOLATION_INCOMPLETE',
        reason: 'open',
        remedy: 'close it',
        retry: false,
      },
      { kind: 'retryElapsed', attempt },
      { kind: 'drained', attempt },
    ])
    .concat([
      { kind: 'startRequested' },
      { kind: 'stopRequested', reason: 'asked' },
      { kind: 'restartRequested' },
      { kind: 'faultRaised', key: 'a', reason: 'a is ill' },
      { kind: 'faultRaised', key: 'b', reason: 'b is ill' },
      { kind: 'faultCleared', key: 'a' },
      { kind: 'faultCleared', key: 'b' },
    ]);

const walk = explore<ZoneState, ZoneEvent>({
  initial: [newZone],
  eventsIn,
  step: stepZone,
  key: (state) =>
    JSON.stringify({
      ...state,
      attempt: 0,
      ...('faults' in state ? { faults: Object.keys(state.faults).toSorted() } : {}),
    }),
});
const effectsOf = (effects: readonly unknown[]) => effects as readonly ZoneEffect[];
const late = (event: ZoneEvent, state: ZoneState): boolean => 'attempt' in event && event.attempt !== state.attempt;

describe(`the zone machine, all ${walk.states.length} states and ${walk.transitions.length} transitions`, () => {
  it('reaches every kind of state and gives a reason for everything', () => {
    expect(new Set(walk.states.map(({ kind }) => kind))).toEqual(
      new Set(['stopped', 'starting', 'ready', 'degraded', 'stopping', 'failed']),
    );
    for (const { reason } of walk.transitions) expect(reason).not.toBe('');
  });

  it('drops every late result', () => {
    for (const { before, event, after, effects } of walk.transitions) {
      if (!late(event, before)) continue;
      expect(after).toBe(before);
      expect(effects).toEqual([]);
    }
  });

  it('opens units only out of a preparation that succeeded', () => {
    for (const { before, event, effects } of walk.transitions) {
      if (!effectsOf(effects).some(({ kind }) => kind === 'openUnits')) continue;
      expect(before.kind).toBe('starting');
      expect(event.kind).toBe('prepared');
    }
  });

  it('numbers each preparation anew, and never prepares in a zone that serves', () => {
    for (const { before, after, effects } of walk.transitions) {
      for (const effect of effectsOf(effects)) {
        if (effect.kind !== 'prepare') continue;
        expect(effect.attempt).toBe(before.attempt + 1);
        expect(after.kind).toBe('starting');
        expect(['ready', 'degraded', 'starting']).not.toContain(before.kind);
      }
    }
  });

  it('ends what runs and does not try again by itself after a probe that was not refused', () => {
    for (const { before, event, effects } of walk.transitions) {
      if (event.kind !== 'prepareFailed' || event.retry || late(event, before) || before.kind !== 'starting') continue;
      expect(effects).toEqual([{ kind: 'closeUnits' }]);
    }
  });

  it('is stopped only after everything was drained, if anything could run', () => {
    for (const { before, event, after } of walk.transitions) {
      if (after.kind !== 'stopped' || before.kind === 'stopped') continue;
      expect([before.kind, event.kind]).toEqual(['stopping', 'drained']);
    }
  });

  it('is degraded exactly as long as a fault stands', () => {
    for (const state of walk.states)
      if (state.kind === 'degraded') expect(Object.keys(state.faults).length).toBeGreaterThan(0);
  });
});
