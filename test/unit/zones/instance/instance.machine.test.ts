import { describe, expect, it } from 'vitest';
import {
  adoptedInstance,
  classifyExit,
  newInstance,
  stepInstance,
  type InstanceEffect,
  type InstanceEvent,
  type InstanceState,
  type ObservedExit,
} from '../../../../zones/instance/instance.machine.ts';
import { explore } from '../../../support/explore.ts';

const exit: ObservedExit = { exitCode: 1, signal: null, oomKilled: false, at: '2026-01-01T00:00:00.000Z', detail: '' };
const EVENTS: readonly InstanceEvent[] = [
  { kind: 'containerStarted' },
  { kind: 'createFailed', detail: 'no' },
  { kind: 'helloAccepted' },
  { kind: 'assigned' },
  { kind: 'assignFailed', detail: 'no' },
  { kind: 'connectionLost' },
  { kind: 'violated', detail: 'no' },
  { kind: 'unresponsive', cause: 'unresponsive', detail: 'no' },
  { kind: 'unresponsive', cause: 'deadline', detail: 'no' },
  { kind: 'drainRequested', cause: 'operator' },
  { kind: 'drained' },
  { kind: 'killRequested', cause: 'replaced', detail: 'no' },
  { kind: 'exited', exit },
  { kind: 'timerExpired', timer: 'start' },
  { kind: 'timerExpired', timer: 'assign' },
  { kind: 'timerExpired', timer: 'drain' },
  { kind: 'timerExpired', timer: 'kill' },
];

const walk = explore<InstanceState, InstanceEvent>({
  initial: [newInstance, adoptedInstance],
  eventsIn: () => EVENTS,
  step: (state, event) => stepInstance(state, event, 0),
});
const kinds = (effects: readonly unknown[]): string[] => (effects as readonly InstanceEffect[]).map(({ kind }) => kind);

describe(`the instance machine, all ${walk.states.length} states and ${walk.transitions.length} transitions`, () => {
  it('reaches every kind of state, and answers every event in each with a reason', () => {
    expect(new Set(walk.states.map(({ kind }) => kind))).toEqual(
      new Set(['creating', 'connecting', 'assigning', 'ready', 'draining', 'killing', 'gone']),
    );
    for (const { reason } of walk.transitions) expect(reason).not.toBe('');
  });

  it('changes nothing and does nothing where it ignores', () => {
    for (const { before, after, effects, reason } of walk.transitions) {
      if (!reason.startsWith('ignored')) continue;
      expect(after).toBe(before);
      expect(effects).toEqual([]);
    }
  });

  it('is gone only by the word of the engine, and stays gone', () => {
    for (const { before, event, after } of walk.transitions) {
      if (after.kind === 'gone' && before.kind !== 'gone') expect(event.kind).toBe('exited');
      if (before.kind === 'gone') expect(after).toBe(before);
    }
  });

  it('never serves again once it is draining or being killed', () => {
    for (const { before, after } of walk.transitions) {
      if (before.kind === 'draining') expect(['draining', 'killing', 'gone']).toContain(after.kind);
      if (before.kind === 'killing') expect(['killing', 'gone']).toContain(after.kind);
    }
  });

  it('tells the loss exactly once on every way from life to the end', () => {
    for (const { before, after, effects } of walk.transitions) {
      const dying = (state: InstanceState): boolean =>
        state.kind === 'draining' || state.kind === 'killing' || state.kind === 'gone';
      const told = kinds(effects).filter((kind) => kind === 'tellLost').length;
      expect(told).toBe(!dying(before) && dying(after) ? 1 : 0);
    }
  });

  it('disposes exactly when it becomes gone', () => {
    for (const { before, after, effects } of walk.transitions) {
      expect(kinds(effects).includes('dispose')).toBe(after.kind === 'gone' && before.kind !== 'gone');
    }
  });

  it('leaves no state but creating, ready and gone without a timer, and clears the old one', () => {
    const timerOf: Record<string, string | undefined> = {
      connecting: 'start',
      assigning: 'assign',
      draining: 'drain',
      killing: 'kill',
    };
    for (const { before, after, effects } of walk.transitions) {
      if (before.kind === after.kind) continue;
      const [old, next] = [timerOf[before.kind], timerOf[after.kind]];
      const list = effects as readonly InstanceEffect[];
      if (next !== undefined && next !== old) expect(list).toContainEqual({ kind: 'setTimer', timer: next });
      if (old !== undefined && next !== old) expect(list).toContainEqual({ kind: 'clearTimer', timer: old });
    }
  });

  it('says ready only after a hello: with its module loaded, or adopted by its record', () => {
    for (const { before, event, effects } of walk.transitions) {
      if (!kinds(effects).includes('tellReady')) continue;
      const loaded = before.kind === 'assigning' && event.kind === 'assigned';
      const adopted = before.kind === 'connecting' && before.adopted && event.kind === 'helloAccepted';
      expect(loaded || adopted).toBe(true);
    }
  });

  it('never assigns a module to an adopted instance', () => {
    for (const { before, effects } of walk.transitions) {
      if (before.kind === 'connecting' && before.adopted) expect(kinds(effects)).not.toContain('assign');
    }
  });

  it('can always come to an end: from every state a kill and the exit lead to gone', () => {
    for (const state of walk.states) {
      const killed = stepInstance(state, { kind: 'killRequested', cause: 'operator', detail: 'x' }, 0).state;
      expect(stepInstance(killed, { kind: 'exited', exit }, 0).state.kind).toBe('gone');
    }
  });
});

describe('the cause of an exit', () => {
  it.each([
    [
      'memory before everything else',
      { ...exit, exitCode: 137, oomKilled: true },
      { cause: 'deadline' as const, detail: 'late' },
      'oom',
    ],
    [
      'what the kernel killed it for',
      { ...exit, exitCode: 137 },
      { cause: 'deadline' as const, detail: 'late' },
      'deadline',
    ],
    [
      'a lost connection explains nothing: the signal does',
      { ...exit, exitCode: 137 },
      { cause: 'connectionLost' as const, detail: '' },
      'signal',
    ],
    ['an abort is the heap', { ...exit, exitCode: 134 }, null, 'heap'],
    // What abort() of PID 1 comes to.
    ['a fault of the runtime is the heap', { ...exit, exitCode: 139 }, null, 'heap'],
    ['an exit by itself', { ...exit, exitCode: 0 }, null, 'exited'],
    ['nobody knows', { ...exit, exitCode: null }, null, 'unknown'],
  ])('%s', (_title, observed, killed, cause) => {
    expect(classifyExit(observed, killed).cause).toBe(cause);
  });
});
