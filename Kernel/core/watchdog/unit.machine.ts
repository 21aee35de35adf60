/**
 * Supervision of one unit: one of the `instances: n` places of a module, filled by one instance after
 * another. Back-off, restart intensity and quarantine as in Erlang/OTP's supervisor and s6. The intensity is that of the
 * module: deaths of its other places count too.
 *
 * ```
 *  stopped --start--> starting --ready--> running --lost--> backoff --elapsed--> starting
 *                        |                                    |
 *                        +------------- lost -----------------+--- intensity exhausted --> quarantined
 *  any --stop--> stopping (while an instance is there) --gone--> stopped
 * ```
 *
 * - The first failure after stability is answered at once; each further one doubles the delay. Stability
 *   (`stableAfterMs` of readiness) resets the delay, and `intensity.windowMs` without a death the tally.
 * - A failure of the host (engine away, no room in the pool, zone not ready) is waited out and never counted:
 *   a module is not put into quarantine for what it did not do.
 */
import type { InstanceId } from '../../contract/ids.ts';
import type { Decision, Step } from '../../contract/machine.ts';

/** How a unit restarts; times in milliseconds. */
export type RestartPolicy = {
  readonly backoff: {
    readonly initialMs: number;
    readonly maxMs: number;
    readonly factor: number;
    readonly jitter: number;
  };
  readonly stableAfterMs: number;
  /** More than `restarts` deaths within `windowMs` end in quarantine. */
  readonly intensity: { readonly restarts: number; readonly windowMs: number };
};

/** What is carried from one instance to the next. */
export type UnitHistory = {
  /** Replacements made since the unit was made. */
  readonly restarts: number;
  /** Times of the deaths within the window; never longer than `intensity.restarts + 1`. */
  readonly deathsMs: readonly number[];
  /** Failures in a row without stability between. */
  readonly failures: number;
};

/** Every state carries the number of the latest attempt; it only grows, so a late result is known by it. */
export type UnitState =
  | { readonly kind: 'stopped'; readonly attempt: number; readonly history: UnitHistory }
  | { readonly kind: 'starting'; readonly attempt: number; readonly history: UnitHistory }
  | { readonly kind: 'running'; readonly attempt: number; readonly instance: InstanceId; readonly history: UnitHistory }
  | {
      readonly kind: 'backoff';
      readonly attempt: number;
      readonly untilMs: number;
      readonly reason: string;
      readonly history: UnitHistory;
    }
  | {
      readonly kind: 'quarantined';
      readonly attempt: number;
      readonly reason: string;
      /** Of all places of the module within the window. */
      readonly deaths: number;
      readonly history: UnitHistory;
    }
  | { readonly kind: 'stopping'; readonly attempt: number; readonly restart: boolean; readonly history: UnitHistory };

export type UnitEvent =
  | { readonly kind: 'startRequested' }
  | { readonly kind: 'stopRequested' }
  /** Replace what runs (a new digest or specification); clears quarantine and back-off. */
  | { readonly kind: 'replaceRequested' }
  | { readonly kind: 'adopted'; readonly instance: InstanceId; readonly restarts: number }
  | { readonly kind: 'instanceReady'; readonly attempt: number; readonly instance: InstanceId }
  /** The instance will not serve again; `jitter` in [0, 1). */
  | {
      readonly kind: 'instanceLost';
      readonly attempt: number;
      readonly reason: string;
      readonly fault: 'module' | 'host';
      readonly jitter: number;
      /** Deaths of the other places of the module within the window. */
      readonly siblingDeaths: number;
    }
  /** The container of the attempt is confirmed gone, and why by the engine's word. */
  | { readonly kind: 'instanceGone'; readonly attempt: number; readonly cause: string }
  | { readonly kind: 'backoffElapsed'; readonly attempt: number }
  | { readonly kind: 'stableElapsed'; readonly attempt: number };

export type UnitEffect =
  | { readonly kind: 'launch'; readonly attempt: number }
  /** Drain, then end the instance of this attempt. Ends in `instanceGone`. */
  | { readonly kind: 'retire'; readonly attempt: number; readonly cause: 'operator' | 'replaced' }
  | { readonly kind: 'setBackoff'; readonly attempt: number; readonly delayMs: number }
  | { readonly kind: 'clearBackoff' }
  | { readonly kind: 'setStable'; readonly attempt: number; readonly delayMs: number }
  | { readonly kind: 'clearStable' }
  | { readonly kind: 'tellQuarantined'; readonly reason: string };

type UnitDecision = Decision<UnitState, UnitEffect>;

const NO_HISTORY: UnitHistory = { restarts: 0, deathsMs: [], failures: 0 };

/** A unit that nobody has asked to run yet. */
export const newUnit: UnitState = { kind: 'stopped', attempt: 0, history: NO_HISTORY };

/** Delay before the next start: none after the first failure, then `initial * factor^n`, with jitter downwards. */
export const backoffDelayMs = (policy: RestartPolicy, failures: number, jitter: number): number => {
  if (failures <= 1) return 0;
  const { initialMs, maxMs, factor } = policy.backoff;
  const full = Math.min(maxMs, initialMs * factor ** Math.min(failures - 2, 64));
  return Math.round(full * (1 - policy.backoff.jitter * jitter));
};

/** Delay after a failure of the host: patient, never zero, never counted. */
const hostDelayMs = (policy: RestartPolicy, jitter: number): number =>
  Math.round(Math.max(policy.backoff.initialMs, 250) * (1 + jitter));

const quarantineReason = (policy: RestartPolicy, deaths: number, last: string): string =>
  `${deaths} failures within ${policy.intensity.windowMs} ms, the last: ${last}`;

const ignored = (state: UnitState, why: string): UnitDecision => ({ state, effects: [], reason: `ignored: ${why}` });

/** Makes the step of a unit under a policy. */
export const createUnitStep = (policy: RestartPolicy): Step<UnitState, UnitEvent, UnitEffect> => {
  const launch = (state: UnitState, history: UnitHistory, reason: string): UnitDecision => {
    const attempt = state.attempt + 1;
    return { state: { kind: 'starting', attempt, history }, effects: [{ kind: 'launch', attempt }], reason };
  };

  const stop = (state: UnitState, restart: boolean): UnitDecision => {
    const cause = restart ? 'replaced' : 'operator';
    switch (state.kind) {
      case 'stopped':
      case 'quarantined':
        return restart
          ? launch(state, NO_HISTORY, 'asked to start anew')
          : {
              state: { kind: 'stopped', attempt: state.attempt, history: state.history },
              effects: [],
              reason: 'asked to stop',
            };
      case 'backoff': {
        const cleared: UnitEffect = { kind: 'clearBackoff' };
        if (!restart)
          return {
            state: { kind: 'stopped', attempt: state.attempt, history: state.history },
            effects: [cleared],
            reason: 'asked to stop',
          };
        const next = launch(state, { ...NO_HISTORY, restarts: state.history.restarts }, 'asked to start anew');
        return { ...next, effects: [cleared, ...next.effects] };
      }
      case 'starting':
      case 'running':
        return {
          state: { kind: 'stopping', attempt: state.attempt, restart, history: state.history },
          effects: [{ kind: 'clearStable' }, { kind: 'retire', attempt: state.attempt, cause }],
          reason: restart ? 'asked to replace the instance' : 'asked to stop',
        };
      case 'stopping':
        return { state: { ...state, restart }, effects: [], reason: restart ? 'asked to start anew' : 'asked to stop' };
    }
  };

  const lost = (
    state: Extract<UnitState, { kind: 'starting' | 'running' }>,
    event: Extract<UnitEvent, { kind: 'instanceLost' }>,
    nowMs: number,
  ): UnitDecision => {
    const { attempt } = state;
    const before = state.history;
    if (event.fault === 'host') {
      const delayMs = hostDelayMs(policy, event.jitter);
      return {
        state: { kind: 'backoff', attempt, untilMs: nowMs + delayMs, reason: event.reason, history: before },
        effects: [{ kind: 'clearStable' }, { kind: 'setBackoff', attempt, delayMs }],
        reason: `${event.reason}; not the module's fault, trying again`,
      };
    }
    const recent = before.deathsMs.filter((at) => nowMs - at < policy.intensity.windowMs);
    const deathsMs = [...recent, nowMs].slice(-(policy.intensity.restarts + 1));
    const history = { restarts: before.restarts + 1, deathsMs, failures: before.failures + 1 };
    const deaths = deathsMs.length + event.siblingDeaths;
    if (deaths > policy.intensity.restarts) {
      const reason = quarantineReason(policy, deaths, event.reason);
      return {
        state: { kind: 'quarantined', attempt, reason, deaths, history: { ...history, restarts: before.restarts } },
        effects: [{ kind: 'clearStable' }],
        reason,
      };
    }
    const delayMs = backoffDelayMs(policy, history.failures, event.jitter);
    if (delayMs === 0) {
      const next = launch(state, history, `${event.reason}; restarting at once`);
      return { ...next, effects: [{ kind: 'clearStable' }, ...next.effects] };
    }
    return {
      state: { kind: 'backoff', attempt, untilMs: nowMs + delayMs, reason: event.reason, history },
      effects: [{ kind: 'clearStable' }, { kind: 'setBackoff', attempt, delayMs }],
      reason: `${event.reason}; restarting in ${delayMs} ms`,
    };
  };

  return (state: UnitState, event: UnitEvent, nowMs: number): UnitDecision => {
    switch (event.kind) {
      case 'startRequested':
        if (state.kind === 'stopped') return launch(state, state.history, 'asked to start');
        if (state.kind === 'stopping')
          return { state: { ...state, restart: true }, effects: [], reason: 'start again once it is gone' };
        return ignored(state, state.kind === 'quarantined' ? 'quarantine ends only by replacement' : 'already so');
      case 'stopRequested':
        return stop(state, false);
      case 'replaceRequested':
        return stop(state, true);
      case 'adopted':
        if (state.kind !== 'stopped') return ignored(state, 'adoption comes before anything else');
        return {
          state: { kind: 'starting', attempt: state.attempt + 1, history: { ...NO_HISTORY, restarts: event.restarts } },
          effects: [],
          reason: 'found running; waiting for it to answer',
        };
      case 'instanceReady':
        if (state.kind !== 'starting' || state.attempt !== event.attempt)
          return ignored(state, 'from an earlier attempt, or on its way out');
        return {
          state: { kind: 'running', attempt: state.attempt, instance: event.instance, history: state.history },
          effects: [{ kind: 'setStable', attempt: state.attempt, delayMs: policy.stableAfterMs }],
          reason: 'ready',
        };
      case 'instanceLost':
        if ((state.kind !== 'starting' && state.kind !== 'running') || state.attempt !== event.attempt) {
          return ignored(state, 'from an earlier attempt, or asked for');
        }
        return lost(state, event, nowMs);
      case 'instanceGone':
        if (state.kind === 'quarantined' && state.attempt === event.attempt) {
          // The first sign of an end is often no more than a lost connection: only now the engine has said why.
          const reason = quarantineReason(policy, state.deaths, event.cause);
          return { state: { ...state, reason }, effects: [{ kind: 'tellQuarantined', reason }], reason };
        }
        if (state.kind !== 'stopping' || state.attempt !== event.attempt)
          return ignored(state, 'its replacement is already decided');
        return state.restart
          ? launch(state, { ...NO_HISTORY, restarts: state.history.restarts + 1 }, 'the old instance is gone')
          : {
              state: { kind: 'stopped', attempt: state.attempt, history: state.history },
              effects: [],
              reason: 'stopped',
            };
      case 'backoffElapsed':
        if (state.kind !== 'backoff' || state.attempt !== event.attempt)
          return ignored(state, 'from an earlier back-off');
        return launch(state, state.history, 'back-off is over');
      case 'stableElapsed':
        if (state.kind !== 'running' || state.attempt !== event.attempt)
          return ignored(state, 'from an earlier attempt');
        return { state: { ...state, history: { ...state.history, failures: 0 } }, effects: [], reason: 'stable' };
    }
  };
};
