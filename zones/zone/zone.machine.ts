/**
 * The life of a zone. A zone is `ready` when its image is there and the probe, run natively under its own
 * profile, was refused everything in the deny table; only then may user code start in it.
 *
 * ```
 *  stopped --start--> starting --prepared--> ready <--> degraded
 *     ^                  |  ^                    \        /
 *     |           failed |  | retry               \      /
 *     |                  v  |                      v    v
 *     +---- stop ------ failed <----            stopping --drained--> stopped, or starting (restart)
 * ```
 */
import type { ErrorCode } from '../../Kernel/contract/errors.ts';
import type { Decision } from '../../Kernel/contract/machine.ts';

export type ZoneState =
  | { readonly kind: 'stopped'; readonly attempt: number; readonly reason: string }
  | { readonly kind: 'starting'; readonly attempt: number }
  | { readonly kind: 'ready'; readonly attempt: number }
  /** Serves, but not all of it: each key names what is amiss. */
  | { readonly kind: 'degraded'; readonly attempt: number; readonly faults: Readonly<Record<string, string>> }
  | { readonly kind: 'stopping'; readonly attempt: number; readonly restart: boolean; readonly reason: string }
  | {
      readonly kind: 'failed';
      readonly attempt: number;
      readonly code: ErrorCode;
      readonly reason: string;
      readonly remedy: string | null;
    };

export type ZoneEvent =
  | { readonly kind: 'startRequested' }
  | { readonly kind: 'stopRequested'; readonly reason: string }
  | { readonly kind: 'restartRequested' }
  | { readonly kind: 'prepared'; readonly attempt: number }
  | {
      readonly kind: 'prepareFailed';
      readonly attempt: number;
      readonly code: ErrorCode;
      readonly reason: string;
      readonly remedy: string | null;
      readonly retry: boolean;
    }
  | { readonly kind: 'retryElapsed'; readonly attempt: number }
  | { readonly kind: 'drained'; readonly attempt: number }
  | { readonly kind: 'faultRaised'; readonly key: string; readonly reason: string }
  | { readonly kind: 'faultCleared'; readonly key: string };

export type ZoneEffect =
  /** Image, profile, probe; ends in `prepared` or `prepareFailed`. */
  | { readonly kind: 'prepare'; readonly attempt: number }
  /** Bring the units to what is desired. */
  | { readonly kind: 'openUnits' }
  /** End what was adopted: the zone does not refuse what it must, so nothing may run in it. */
  | { readonly kind: 'closeUnits' }
  /** Stop all units; ends in `drained`. */
  | { readonly kind: 'drainUnits'; readonly attempt: number }
  | { readonly kind: 'setRetry'; readonly attempt: number };

type ZoneDecision = Decision<ZoneState, ZoneEffect>;

export const newZone: ZoneState = { kind: 'stopped', attempt: 0, reason: 'not started yet' };

const ignored = (state: ZoneState, why: string): ZoneDecision => ({ state, effects: [], reason: `ignored: ${why}` });

const start = (state: ZoneState, reason: string): ZoneDecision => {
  const attempt = state.attempt + 1;
  return { state: { kind: 'starting', attempt }, effects: [{ kind: 'prepare', attempt }], reason };
};

const drain = (state: ZoneState, restart: boolean, reason: string): ZoneDecision => ({
  state: { kind: 'stopping', attempt: state.attempt, restart, reason },
  effects: [{ kind: 'drainUnits', attempt: state.attempt }],
  reason,
});

const requested = (
  state: ZoneState,
  event: Extract<ZoneEvent, { kind: 'startRequested' | 'stopRequested' | 'restartRequested' }>,
): ZoneDecision => {
  const wantsStop = event.kind === 'stopRequested';
  const reason = wantsStop ? event.reason : event.kind === 'restartRequested' ? 'asked to restart' : 'asked to start';
  switch (state.kind) {
    case 'stopped':
      return wantsStop
        ? { state: { kind: 'stopped', attempt: state.attempt, reason }, effects: [], reason }
        : start(state, reason);
    case 'failed':
      // What was adopted before the fault still runs: only a plain start leaves it alone.
      return event.kind === 'startRequested' ? start(state, reason) : drain(state, !wantsStop, reason);
    case 'starting':
      // Adopted instances may run already: a stop drains whatever is there.
      return wantsStop ? drain(state, false, reason) : ignored(state, 'already starting');
    case 'ready':
    case 'degraded':
      if (event.kind === 'startRequested') return ignored(state, 'already started');
      return drain(state, !wantsStop, reason);
    case 'stopping':
      return { state: { ...state, restart: !wantsStop, reason }, effects: [], reason };
  }
};

const faultRaised = (state: ZoneState, key: string, reason: string): ZoneDecision => {
  switch (state.kind) {
    case 'ready':
      return { state: { kind: 'degraded', attempt: state.attempt, faults: { [key]: reason } }, effects: [], reason };
    case 'degraded':
      return { state: { ...state, faults: { ...state.faults, [key]: reason } }, effects: [], reason };
    case 'stopped':
    case 'starting':
    case 'stopping':
    case 'failed':
      return ignored(state, 'a zone that does not serve has no partial faults');
  }
};

const faultCleared = (state: ZoneState, key: string): ZoneDecision => {
  if (state.kind !== 'degraded' || !(key in state.faults)) return ignored(state, 'no such fault');
  const faults = Object.fromEntries(Object.entries(state.faults).filter(([other]) => other !== key));
  return Object.keys(faults).length === 0
    ? { state: { kind: 'ready', attempt: state.attempt }, effects: [], reason: `${key} is well again` }
    : { state: { ...state, faults }, effects: [], reason: `${key} is well again` };
};

/** Decides what an event means for a zone. Total. */
export const stepZone = (state: ZoneState, event: ZoneEvent): ZoneDecision => {
  switch (event.kind) {
    case 'startRequested':
    case 'stopRequested':
    case 'restartRequested':
      return requested(state, event);
    case 'prepared':
      return state.kind === 'starting' && state.attempt === event.attempt
        ? {
            state: { kind: 'ready', attempt: state.attempt },
            effects: [{ kind: 'openUnits' }],
            reason: 'image and probe are in order',
          }
        : ignored(state, 'from an earlier attempt');
    case 'prepareFailed':
      return state.kind === 'starting' && state.attempt === event.attempt
        ? {
            state: {
              kind: 'failed',
              attempt: state.attempt,
              code: event.code,
              reason: event.reason,
              remedy: event.remedy,
            },
            effects: event.retry ? [{ kind: 'setRetry', attempt: state.attempt }] : [{ kind: 'closeUnits' }],
            reason: event.reason,
          }
        : ignored(state, 'from an earlier attempt');
    case 'retryElapsed':
      return state.kind === 'failed' && state.attempt === event.attempt
        ? start(state, 'trying again')
        : ignored(state, 'from an earlier attempt');
    case 'drained':
      if (state.kind !== 'stopping' || state.attempt !== event.attempt)
        return ignored(state, 'from an earlier attempt');
      return state.restart
        ? start(state, 'restarting')
        : {
            state: { kind: 'stopped', attempt: state.attempt, reason: state.reason },
            effects: [],
            reason: state.reason,
          };
    case 'faultRaised':
      return faultRaised(state, event.key, event.reason);
    case 'faultCleared':
      return faultCleared(state, event.key);
  }
};
