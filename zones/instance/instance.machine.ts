/**
 * The life of one instance: one container, one connection, one module.
 *
 * ```
 *              containerStarted   helloAccepted     assigned          drainRequested     drained
 *  creating ------------------> connecting ----> assigning -------> ready ----------> draining ------+
 *     |                             |     \          |                |                  |           |
 *     |                             |      +---------+--(record says assigned)--> ready  |           |
 *     +--- failure, timer, violation, lost connection, kill request ---------------------+--> killing|
 *                                                                                              |  <--+
 *                  exited, in any state                                                        v
 *  gone  <-------------------------------------------------------------------------------- (engine)
 * ```
 *
 * - There is one recovery mechanism (DESIGN section 1, idea 4): whatever goes wrong ends in `killing`.
 * - `gone` is reached only by the engine's word that the container is not running, never by the instance's.
 * - `lost` is told once, at the first sign that the instance will not serve again: the replacement
 *   starts then, and does not wait until the engine has closed the books on the old container.
 */
import type { Decision } from '../../Kernel/contract/machine.ts';
import type { InstanceExit } from '../../Kernel/contract/operations/shapes.ts';

/** Why the kernel ends an instance; becomes the cause of its exit unless the engine knows better. */
export type KillCause = Exclude<InstanceExit['cause'], 'exited' | 'signal' | 'oom' | 'heap' | 'unknown'>;

/** How an exit looks to the engine. */
export type ObservedExit = {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly oomKilled: boolean;
  readonly at: string;
  readonly detail: string;
};

export type InstanceTimer = 'start' | 'assign' | 'drain' | 'kill';

export type InstanceState =
  | { readonly kind: 'creating' }
  /** `adopted`: it ran before this kernel did and its record says that it is assigned. */
  | { readonly kind: 'connecting'; readonly adopted: boolean }
  | { readonly kind: 'assigning' }
  | { readonly kind: 'ready'; readonly sinceMs: number }
  | { readonly kind: 'draining'; readonly cause: KillCause }
  | { readonly kind: 'killing'; readonly cause: KillCause; readonly detail: string }
  | { readonly kind: 'gone'; readonly exit: InstanceExit };

export type InstanceEvent =
  | { readonly kind: 'containerStarted' }
  | { readonly kind: 'createFailed'; readonly detail: string }
  | { readonly kind: 'helloAccepted' }
  | { readonly kind: 'assigned' }
  | { readonly kind: 'assignFailed'; readonly detail: string }
  | { readonly kind: 'connectionLost' }
  | { readonly kind: 'violated'; readonly detail: string }
  | {
      readonly kind: 'unresponsive';
      readonly cause: 'deadline' | 'unresponsive' | 'unhealthy';
      readonly detail: string;
    }
  | { readonly kind: 'drainRequested'; readonly cause: KillCause }
  | { readonly kind: 'drained' }
  | { readonly kind: 'killRequested'; readonly cause: KillCause; readonly detail: string }
  | { readonly kind: 'exited'; readonly exit: ObservedExit }
  | { readonly kind: 'timerExpired'; readonly timer: InstanceTimer };

export type InstanceEffect =
  | { readonly kind: 'setTimer'; readonly timer: InstanceTimer }
  | { readonly kind: 'clearTimer'; readonly timer: InstanceTimer }
  /** Write the record, send the module, import it; ends in `assigned` or `assignFailed`. */
  | { readonly kind: 'assign' }
  /** Mark the record as assigned, BEFORE `tellReady`: only such an instance may be adopted later. */
  | { readonly kind: 'tellReady' }
  /** Tell the owner that this instance will not serve again. */
  | { readonly kind: 'tellLost'; readonly cause: InstanceExit['cause']; readonly detail: string }
  /** Refuse new calls, wait for those in flight, run the module's stop(); ends in `drained`. */
  | { readonly kind: 'drain' }
  /** Kill the container; repeated by the timer `kill` until the engine confirms. */
  | { readonly kind: 'kill' }
  /** Close the link, remove container, directory, record and lease; then tell the owner. */
  | { readonly kind: 'dispose'; readonly exit: InstanceExit };

type InstanceDecision = Decision<InstanceState, InstanceEffect>;

/** A new instance whose container is about to be created. */
export const newInstance: InstanceState = { kind: 'creating' };
/** An instance found running with a complete record (DESIGN section 1, idea 7). */
export const adoptedInstance: InstanceState = { kind: 'connecting', adopted: true };

const ignored = (state: InstanceState, why: string): InstanceDecision => ({
  state,
  effects: [],
  reason: `ignored: ${why}`,
});

const SIGNAL_EXIT_BASE = 128;
/**
 * How a runtime that gave up ends: SIGABRT, SIGTRAP, SIGILL, SIGSEGV. As PID 1 it can't end itself by SIGABRT
 * (pid_namespaces(7): init gets no signal whose action is the default one), so abort() of libc falls through to an
 * instruction that faults. The same rule makes these four unlikely to have been sent from outside.
 */
const ABORT_EXITS: ReadonlySet<number> = new Set([134, 133, 132, 139]);

/**
 * Names the cause of an exit. The engine's facts come first: an instance that ran out of memory while
 * the kernel was about to kill it ran out of memory. A lost connection explains nothing by itself.
 */
export const classifyExit = (
  observed: ObservedExit,
  killed: { cause: KillCause; detail: string } | null,
): InstanceExit => {
  const facts = {
    exitCode: observed.exitCode,
    signal: observed.signal,
    oomKilled: observed.oomKilled,
    at: observed.at,
  };
  if (observed.oomKilled) return { ...facts, cause: 'oom', detail: 'the memory limit was reached' };
  if (killed !== null && killed.cause !== 'connectionLost')
    return { ...facts, cause: killed.cause, detail: killed.detail };
  if (observed.exitCode === null) return { ...facts, cause: 'unknown', detail: observed.detail };
  if (ABORT_EXITS.has(observed.exitCode)) {
    return {
      ...facts,
      cause: 'heap',
      detail: `exit status ${observed.exitCode}: the JavaScript heap reached its limit, the runtime aborted, or the module chose it`,
    };
  }
  if (observed.exitCode > SIGNAL_EXIT_BASE) {
    return {
      ...facts,
      cause: 'signal',
      detail: `exit status ${observed.exitCode}: ended by signal ${observed.exitCode - SIGNAL_EXIT_BASE}, or the module chose it`,
    };
  }
  return { ...facts, cause: 'exited', detail: observed.detail || `exit code ${observed.exitCode}` };
};

const TIMERS_OF: Readonly<Record<InstanceState['kind'], readonly InstanceTimer[]>> = {
  // The engine's own time limit holds: its slowness is not the module's.
  creating: [],
  connecting: ['start'],
  assigning: ['assign'],
  ready: [],
  draining: ['drain'],
  killing: ['kill'],
  gone: [],
};

const clearTimers = (state: InstanceState): InstanceEffect[] =>
  TIMERS_OF[state.kind].map((timer) => ({ kind: 'clearTimer', timer }));

const kill = (state: InstanceState, cause: KillCause, detail: string): InstanceDecision => {
  // While draining the owner has been told already: it asked for it.
  const told = state.kind === 'draining';
  return {
    state: { kind: 'killing', cause, detail },
    effects: [
      ...clearTimers(state),
      ...(told ? [] : [{ kind: 'tellLost', cause, detail } as const]),
      { kind: 'kill' },
      { kind: 'setTimer', timer: 'kill' },
    ],
    reason: detail,
  };
};

const gone = (state: Exclude<InstanceState, { kind: 'gone' }>, observed: ObservedExit): InstanceDecision => {
  const killed =
    state.kind === 'killing' ? state : state.kind === 'draining' ? { cause: state.cause, detail: 'drained' } : null;
  const exit = classifyExit(observed, killed);
  const told = state.kind === 'killing' || state.kind === 'draining';
  return {
    state: { kind: 'gone', exit },
    effects: [
      ...clearTimers(state),
      ...(told ? [] : [{ kind: 'tellLost', cause: exit.cause, detail: exit.detail } as const]),
      { kind: 'dispose', exit },
    ],
    reason: `${exit.cause}: ${exit.detail}`,
  };
};

const helloAccepted = (state: InstanceState, nowMs: number): InstanceDecision => {
  switch (state.kind) {
    case 'connecting':
      return state.adopted
        ? {
            state: { kind: 'ready', sinceMs: nowMs },
            effects: [{ kind: 'clearTimer', timer: 'start' }, { kind: 'tellReady' }],
            reason: 'adopted: it answered and its record is complete',
          }
        : {
            state: { kind: 'assigning' },
            effects: [
              { kind: 'clearTimer', timer: 'start' },
              { kind: 'setTimer', timer: 'assign' },
              { kind: 'assign' },
            ],
            reason: 'the agent connected',
          };
    case 'creating':
      // The agent can be quicker than the engine's answer to `start`.
      return {
        state: { kind: 'assigning' },
        effects: [{ kind: 'setTimer', timer: 'assign' }, { kind: 'assign' }],
        reason: 'the agent connected before the engine answered',
      };
    case 'assigning':
    case 'ready':
      return kill(state, 'protocol', 'the agent said hello twice');
    case 'draining':
    case 'killing':
      return ignored(state, 'it is on its way out');
    case 'gone':
      return ignored(state, 'the container is gone');
  }
};

const drainRequested = (state: InstanceState, cause: KillCause): InstanceDecision => {
  switch (state.kind) {
    case 'ready':
      return {
        state: { kind: 'draining', cause },
        effects: [
          { kind: 'tellLost', cause, detail: 'asked to drain' },
          { kind: 'setTimer', timer: 'drain' },
          { kind: 'drain' },
        ],
        reason: 'asked to drain',
      };
    case 'creating':
    case 'connecting':
    case 'assigning':
      return kill(state, cause, 'asked to stop before it was ready');
    case 'draining':
    case 'killing':
      return ignored(state, 'it is on its way out');
    case 'gone':
      return ignored(state, 'the container is gone');
  }
};

const timerExpired = (state: InstanceState, timer: InstanceTimer): InstanceDecision => {
  if (!TIMERS_OF[state.kind].includes(timer)) return ignored(state, `timer ${timer} is from an earlier state`);
  switch (timer) {
    case 'start':
      return kill(state, 'startTimeout', 'the agent did not connect in time');
    case 'assign':
      return kill(state, 'loadFailed', 'the module did not load in time');
    case 'drain':
      return kill(state, state.kind === 'draining' ? state.cause : 'operator', 'it did not drain in time');
    case 'kill':
      return {
        state,
        effects: [{ kind: 'kill' }, { kind: 'setTimer', timer: 'kill' }],
        reason: 'the engine has not confirmed the kill',
      };
  }
};

/** States in which a kill is still to be decided. */
const isLive = (state: InstanceState): boolean => state.kind !== 'killing' && state.kind !== 'gone';

/** Decides what an event means for an instance. Total: every state and event has an answer. */
export const stepInstance = (state: InstanceState, event: InstanceEvent, nowMs: number): InstanceDecision => {
  if (event.kind === 'exited') {
    return state.kind === 'gone' ? ignored(state, 'the exit is known') : gone(state, event.exit);
  }
  if (event.kind === 'timerExpired') return timerExpired(state, event.timer);
  if (event.kind === 'helloAccepted') return helloAccepted(state, nowMs);
  if (event.kind === 'drainRequested') return drainRequested(state, event.cause);
  if (!isLive(state)) return ignored(state, state.kind === 'gone' ? 'the container is gone' : 'it is being killed');

  switch (event.kind) {
    case 'containerStarted':
      return state.kind === 'creating'
        ? {
            state: { kind: 'connecting', adopted: false },
            effects: [{ kind: 'setTimer', timer: 'start' }],
            reason: 'the container runs',
          }
        : ignored(state, 'the agent was quicker');
    case 'createFailed':
      return state.kind === 'creating'
        ? kill(state, 'engine', event.detail)
        : ignored(state, 'it runs, whatever the engine answered');
    case 'assigned':
      return state.kind === 'assigning'
        ? {
            state: { kind: 'ready', sinceMs: nowMs },
            effects: [{ kind: 'clearTimer', timer: 'assign' }, { kind: 'tellReady' }],
            reason: 'the module is loaded',
          }
        : ignored(state, 'a late answer');
    case 'assignFailed':
      return state.kind === 'assigning' ? kill(state, 'loadFailed', event.detail) : ignored(state, 'a late answer');
    case 'connectionLost':
      // Before the first hello a half-made connection proves nothing; the timer `start` decides.
      return state.kind === 'creating' || state.kind === 'connecting'
        ? ignored(state, 'not connected yet')
        : kill(state, state.kind === 'draining' ? state.cause : 'connectionLost', 'the connection ended');
    case 'violated':
      return kill(state, 'protocol', event.detail);
    case 'unresponsive':
      return kill(state, event.cause, event.detail);
    case 'drained':
      return state.kind === 'draining' ? kill(state, state.cause, 'drained') : ignored(state, 'a late answer');
    case 'killRequested':
      return kill(state, event.cause, event.detail);
  }
};
