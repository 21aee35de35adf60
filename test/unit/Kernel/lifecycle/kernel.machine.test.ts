import { describe, expect, it } from 'vitest';
import {
  createKernelStep,
  newKernel,
  type KernelEffect,
  type KernelEvent,
  type KernelState,
} from '../../../../Kernel/lifecycle/kernel.machine.ts';
import { BOOT_ORDER, COMPONENTS } from '../../../../Kernel/manifest.ts';
import { explore } from '../../../support/explore.ts';

const components = ['a', 'b', 'c'];
const step = createKernelStep(components, ['stable', 'sandbox']);
const EVENTS: readonly KernelEvent[] = [
  { kind: 'bootRequested' },
  ...components.flatMap((component): KernelEvent[] => [
    { kind: 'componentStarted', component },
    { kind: 'componentFailed', component, reason: 'no' },
    { kind: 'componentStopped', component },
  ]),
  { kind: 'zoneSettled', zone: 'stable' },
  { kind: 'zoneSettled', zone: 'sandbox' },
  { kind: 'faultRaised', key: 'engine', reason: 'away' },
  { kind: 'faultRaised', key: 'zone stable', reason: 'ill' },
  { kind: 'faultCleared', key: 'engine' },
  { kind: 'faultCleared', key: 'zone stable' },
  { kind: 'terminateRequested', policy: 'stop', reason: 'asked' },
  { kind: 'terminateRequested', policy: 'leave', reason: 'asked' },
];
const walk = explore<KernelState, KernelEvent>({
  initial: [newKernel],
  eventsIn: () => EVENTS,
  step,
  key: (state) =>
    JSON.stringify('faults' in state ? { ...state, faults: Object.keys(state.faults).toSorted() } : state),
});
const effectsOf = (effects: readonly unknown[]) => effects as readonly KernelEffect[];

describe(`the kernel machine, all ${walk.states.length} states and ${walk.transitions.length} transitions`, () => {
  it('reaches every kind of state and gives a reason for everything', () => {
    expect(new Set(walk.states.map(({ kind }) => kind))).toEqual(
      new Set(['booting', 'handover', 'running', 'degraded', 'stopping', 'stopped']),
    );
    for (const { reason } of walk.transitions) expect(reason).not.toBe('');
  });

  it('starts components one at a time in their order, and stops them in reverse', () => {
    for (const { before, event, effects } of walk.transitions) {
      for (const effect of effectsOf(effects)) {
        if (effect.kind === 'startComponent' && event.kind === 'componentStarted') {
          expect(components.indexOf(effect.component)).toBe(components.indexOf(event.component) + 1);
        }
        if (effect.kind === 'stopComponent' && event.kind === 'componentStopped') {
          expect(components.indexOf(effect.component)).toBe(components.indexOf(event.component) - 1);
        }
      }
      if (before.kind === 'stopped') expect(effects).toEqual([]);
    }
  });

  it('hands over exactly once, after all components and before it says that it is up', () => {
    for (const { before, after, event, effects } of walk.transitions) {
      const list = effectsOf(effects);
      if (list.some(({ kind }) => kind === 'handOver')) {
        expect(event).toEqual({ kind: 'componentStarted', component: 'c' });
        expect(after.kind).toBe('handover');
      }
      if (list.some(({ kind }) => kind === 'announceUp')) {
        expect(before.kind).toBe('handover');
        expect(['running', 'degraded']).toContain(after.kind);
      }
    }
  });

  it('exits exactly when it becomes stopped, with 1 after a failed component and 0 after a request', () => {
    for (const { before, after, effects } of walk.transitions) {
      const exits = effectsOf(effects).filter(({ kind }) => kind === 'exit');
      expect(exits.length).toBe(after.kind === 'stopped' && before.kind !== 'stopped' ? 1 : 0);
    }
    const afterFailure = walk.transitions.filter(
      ({ event, after }) => event.kind === 'componentFailed' && 'exitStatus' in after && after.kind === 'stopping',
    );
    for (const { before, after } of afterFailure)
      if (before.kind === 'booting') expect(after).toMatchObject({ exitStatus: 1 });
  });

  it('reaches its end from every state once it is asked to stop', () => {
    for (const start of walk.states) {
      let state = step(start, { kind: 'terminateRequested', policy: 'stop', reason: 'asked' }).state;
      for (let turn = 0; turn <= components.length && state.kind === 'stopping'; turn += 1) {
        state = step(state, { kind: 'componentStopped', component: components[state.next]! }).state;
      }
      expect(state.kind).toBe('stopped');
    }
  });

  it('has no event by which anything but a start from outside boots it', () => {
    for (const { before, event, after } of walk.transitions) {
      if (
        before.kind === 'booting' &&
        before.next === 0 &&
        after !== before &&
        after.kind !== 'stopping' &&
        after.kind !== 'stopped'
      ) {
        expect(['bootRequested', 'componentStarted', 'faultRaised', 'faultCleared']).toContain(event.kind);
      }
      if (before.kind === 'stopped') expect(after).toBe(before);
    }
  });
});

describe('the manifest', () => {
  it('names each need before who needs it', () => {
    for (const { name, needs } of COMPONENTS) {
      for (const need of needs) expect(BOOT_ORDER.indexOf(need)).toBeLessThan(BOOT_ORDER.indexOf(name));
      for (const need of needs) expect(BOOT_ORDER).toContain(need);
    }
    expect(new Set(BOOT_ORDER).size).toBe(COMPONENTS.length);
  });
});
