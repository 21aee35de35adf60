/**
 * What a peer may send in each second, and what happens when it sends more (DESIGN section 6).
 *
 * Two counts decide two things. *All* bytes count towards pausing, since reading them costs the kernel
 * whoever asked for them. Only what nobody asked for (`unsolicited`) counts towards a strike: a module
 * that answers large results as fast as it is called is slowed down, not killed.
 * A strike is a window over budget; three in a row, with no quiet window between, are a violation.
 */
export const BUDGET_WINDOW_MS = 1000;
export const BUDGET_STRIKES = 3;

export type BudgetLimits = { readonly framesPerSecond: number; readonly bytesPerSecond: number };

export type BudgetState = {
  readonly windowStartMs: number;
  readonly bytes: number;
  readonly unsolicitedFrames: number;
  readonly unsolicitedBytes: number;
  /** Windows over budget in a row, this one included. */
  readonly strikes: number;
  /** This window already counted as a strike. */
  readonly struck: boolean;
  readonly paused: boolean;
};

export type BudgetEvent =
  | { readonly kind: 'bytesReceived'; readonly bytes: number }
  /** `frames`: what it counts as; 1 when left out. */
  | { readonly kind: 'unsolicitedFrame'; readonly bytes: number; readonly frames?: number }
  | { readonly kind: 'windowEnded' };

/** `pause`: read nothing until `untilMs`, then send `windowEnded`. `resume`: read on. */
export type BudgetEffect =
  | { readonly kind: 'none' }
  | { readonly kind: 'pause'; readonly untilMs: number }
  | { readonly kind: 'resume' }
  | { readonly kind: 'violation'; readonly reason: string };

export type BudgetDecision = { readonly state: BudgetState; readonly effect: BudgetEffect };

const NONE: BudgetEffect = { kind: 'none' };

export const newBudget = (nowMs: number): BudgetState => ({
  windowStartMs: nowMs,
  bytes: 0,
  unsolicitedFrames: 0,
  unsolicitedBytes: 0,
  strikes: 0,
  struck: false,
  paused: false,
});

/** Opens a new window when the present one is over; keeps strikes only from the window directly before. */
const roll = (state: BudgetState, nowMs: number): BudgetState => {
  const age = nowMs - state.windowStartMs;
  if (age < BUDGET_WINDOW_MS) return state;
  // A timer that fires late must not forgive a flood: a paused peer could not have used the time between.
  const consecutive = state.struck && (state.paused || age < 2 * BUDGET_WINDOW_MS);
  return { ...newBudget(nowMs), strikes: consecutive ? state.strikes : 0, paused: state.paused };
};

const judge = (state: BudgetState, limits: BudgetLimits): BudgetDecision => {
  const overFrames = state.unsolicitedFrames > limits.framesPerSecond;
  const overUnsolicited = overFrames || state.unsolicitedBytes > limits.bytesPerSecond;
  if (!overUnsolicited && state.bytes <= limits.bytesPerSecond) return { state, effect: NONE };

  const struck = state.struck || overUnsolicited;
  const strikes = struck && !state.struck ? state.strikes + 1 : state.strikes;
  if (strikes >= BUDGET_STRIKES) {
    const what = overFrames ? `${limits.framesPerSecond} frames` : `${limits.bytesPerSecond} bytes`;
    return {
      state: { ...state, struck, strikes },
      effect: { kind: 'violation', reason: `over ${what} a second for ${strikes} seconds in a row` },
    };
  }
  const next = { ...state, struck, strikes, paused: true };
  return state.paused
    ? { state: next, effect: NONE }
    : { state: next, effect: { kind: 'pause', untilMs: state.windowStartMs + BUDGET_WINDOW_MS } };
};

/** Total over every state and event. */
export const stepBudget = (
  state: BudgetState,
  event: BudgetEvent,
  limits: BudgetLimits,
  nowMs: number,
): BudgetDecision => {
  const current = roll(state, nowMs);
  switch (event.kind) {
    case 'bytesReceived':
      return judge({ ...current, bytes: current.bytes + event.bytes }, limits);
    case 'unsolicitedFrame':
      return judge(
        {
          ...current,
          unsolicitedFrames: current.unsolicitedFrames + (event.frames ?? 1),
          unsolicitedBytes: current.unsolicitedBytes + event.bytes,
        },
        limits,
      );
    case 'windowEnded':
      // Already resumed: the connection is told once only.
      return current.paused
        ? { state: { ...current, paused: false }, effect: { kind: 'resume' } }
        : { state: current, effect: NONE };
  }
};
