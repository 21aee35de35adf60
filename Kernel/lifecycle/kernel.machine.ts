/**
 * The life of the kernel.
 *
 * ```
 *  booting --all components--> handover --user layer up--> running <--> degraded
 *     |                           |                          |          |
 *     | component failed          +-------- terminate -------+----------+
 *     v                                                      v
 *  stopping --components stopped, in reverse--> stopped
 * ```
 *
 * Handover (K18) is the moment when zones and user buses are up and control passes to the user layer; it is
 * left when every zone that is wanted has said ready or failed. Nothing that connects can cause a start (K1):
 * there is no event for it.
 */
import type { Decision } from '../contract/machine.ts';
import type { ZoneName } from '../contract/ids.ts';

/** What becomes of the zones when the kernel stops. */
export type TerminatePolicy = 'stop' | 'leave';

type Faults = Readonly<Record<string, string>>;

export type KernelState =
  | { readonly kind: 'booting'; readonly next: number; readonly faults: Faults }
  | { readonly kind: 'handover'; readonly waiting: readonly ZoneName[]; readonly faults: Faults }
  | { readonly kind: 'running' }
  | { readonly kind: 'degraded'; readonly faults: Faults }
  | {
      readonly kind: 'stopping';
      readonly next: number;
      readonly reason: string;
      readonly policy: TerminatePolicy;
      readonly exitStatus: number;
    }
  | { readonly kind: 'stopped'; readonly exitStatus: number };

export type KernelEvent =
  | { readonly kind: 'bootRequested' }
  | { readonly kind: 'componentStarted'; readonly component: string }
  | { readonly kind: 'componentFailed'; readonly component: string; readonly reason: string }
  | { readonly kind: 'zoneSettled'; readonly zone: ZoneName }
  | { readonly kind: 'faultRaised'; readonly key: string; readonly reason: string }
  | { readonly kind: 'faultCleared'; readonly key: string }
  | { readonly kind: 'terminateRequested'; readonly policy: TerminatePolicy; readonly reason: string }
  | { readonly kind: 'componentStopped'; readonly component: string };

export type KernelEffect =
  | { readonly kind: 'startComponent'; readonly component: string }
  | { readonly kind: 'stopComponent'; readonly component: string; readonly policy: TerminatePolicy }
  /** Let the user layer start. */
  | { readonly kind: 'handOver' }
  | { readonly kind: 'announceUp' }
  | { readonly kind: 'exit'; readonly status: number };

type KernelDecision = Decision<KernelState, KernelEffect>;

export const newKernel: KernelState = { kind: 'booting', next: 0, faults: {} };

const ignored = (state: KernelState, why: string): KernelDecision => ({
  state,
  effects: [],
  reason: `ignored: ${why}`,
});

/** Running, or degraded when something is amiss. */
const settle = (faults: Faults): KernelState =>
  Object.keys(faults).length === 0 ? { kind: 'running' } : { kind: 'degraded', faults };

const faultsOf = (state: KernelState): Faults => ('faults' in state ? state.faults : {});

/**
 * Makes the step of a kernel made of these components, in boot order, with these zones wanted.
 */
export const createKernelStep = (components: readonly string[], zones: readonly ZoneName[]) => {
  const stopFrom = (count: number, reason: string, policy: TerminatePolicy, exitStatus: number): KernelDecision => {
    const last = components[count - 1];
    if (last === undefined)
      return { state: { kind: 'stopped', exitStatus }, effects: [{ kind: 'exit', status: exitStatus }], reason };
    return {
      state: { kind: 'stopping', next: count - 1, reason, policy, exitStatus },
      effects: [{ kind: 'stopComponent', component: last, policy }],
      reason,
    };
  };

  const up = (faults: Faults, reason: string): KernelDecision => ({
    state: settle(faults),
    effects: [{ kind: 'announceUp' }],
    reason,
  });

  const boot = (next: number, faults: Faults, reason: string): KernelDecision => {
    const component = components[next];
    if (component !== undefined) {
      return { state: { kind: 'booting', next, faults }, effects: [{ kind: 'startComponent', component }], reason };
    }
    return zones.length === 0
      ? { ...up(faults, 'no zone is wanted'), effects: [{ kind: 'handOver' }, { kind: 'announceUp' }] }
      : {
          state: { kind: 'handover', waiting: zones, faults },
          effects: [{ kind: 'handOver' }],
          reason: 'all components are up',
        };
  };

  const terminate = (state: KernelState, policy: TerminatePolicy, reason: string): KernelDecision => {
    switch (state.kind) {
      case 'booting':
        // The component in progress is stopped too: what it began must be undone.
        return stopFrom(Math.min(state.next + 1, components.length), reason, policy, 0);
      case 'handover':
      case 'running':
      case 'degraded':
        return stopFrom(components.length, reason, policy, 0);
      case 'stopping':
      case 'stopped':
        return ignored(state, 'already stopping');
    }
  };

  const fault = (state: KernelState, faults: Faults, reason: string): KernelDecision => {
    switch (state.kind) {
      case 'booting':
      case 'handover':
        return { state: { ...state, faults }, effects: [], reason };
      case 'running':
      case 'degraded':
        return { state: settle(faults), effects: [], reason };
      case 'stopping':
      case 'stopped':
        return ignored(state, 'stopping');
    }
  };

  return (state: KernelState, event: KernelEvent): KernelDecision => {
    switch (event.kind) {
      case 'bootRequested':
        return state.kind === 'booting' && state.next === 0
          ? boot(0, {}, 'started by the system or an operator')
          : ignored(state, 'booted once');
      case 'componentStarted':
        if (state.kind !== 'booting' || components[state.next] !== event.component)
          return ignored(state, 'a late answer');
        return boot(state.next + 1, state.faults, `${event.component} is up`);
      case 'componentFailed':
        if (state.kind !== 'booting' || components[state.next] !== event.component)
          return ignored(state, 'a late answer');
        return stopFrom(state.next, event.reason, 'leave', 1);
      case 'zoneSettled': {
        if (state.kind !== 'handover') return ignored(state, 'handover is over');
        const waiting = state.waiting.filter((zone) => zone !== event.zone);
        return waiting.length === 0
          ? up(state.faults, 'the user layer is up')
          : { state: { ...state, waiting }, effects: [], reason: `${event.zone} has settled` };
      }
      case 'faultRaised':
        return fault(state, { ...faultsOf(state), [event.key]: event.reason }, event.reason);
      case 'faultCleared': {
        const faults = Object.fromEntries(Object.entries(faultsOf(state)).filter(([key]) => key !== event.key));
        return fault(state, faults, `${event.key} is well again`);
      }
      case 'terminateRequested':
        return terminate(state, event.policy, event.reason);
      case 'componentStopped':
        if (state.kind !== 'stopping' || components[state.next] !== event.component)
          return ignored(state, 'a late answer');
        return stopFrom(state.next, state.reason, state.policy, state.exitStatus);
    }
  };
};
