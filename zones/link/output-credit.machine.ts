/**
 * Credit for a module's output: what throttles a module that floods its console.
 *
 * The agent starts with a window of credit and spends it line by line; the kernel gives spent credit back
 * no faster than the log may grow. Spending what was never granted is a breach, but for a small reserve,
 * once per connection, for the last words of a dying module.
 */
export type CreditLimits = {
  /** What a connection starts with; never more than this is outstanding. */
  readonly windowBytes: number;
  readonly bytesPerSecond: number;
  readonly reserveBytes: number;
};

export type CreditState = {
  /** What the agent may still send. */
  readonly outstandingBytes: number;
  /** Spent and not yet given back. */
  readonly owedBytes: number;
  readonly reserveBytes: number;
  /** What the rate allows to give back now. */
  readonly tokens: number;
  readonly refilledAtMs: number;
};

export const newCredit = (limits: CreditLimits, nowMs: number): CreditState => ({
  outstandingBytes: limits.windowBytes,
  owedBytes: 0,
  reserveBytes: limits.reserveBytes,
  tokens: limits.windowBytes,
  refilledAtMs: nowMs,
});

export type SpendDecision = { readonly state: CreditState; readonly ok: boolean };

/** A line of this cost arrived. `ok: false`: it was not covered by credit. */
export const spendCredit = (state: CreditState, costBytes: number): SpendDecision => {
  if (costBytes <= state.outstandingBytes) {
    const outstandingBytes = state.outstandingBytes - costBytes;
    return { state: { ...state, outstandingBytes, owedBytes: state.owedBytes + costBytes }, ok: true };
  }
  const reserveBytes = state.reserveBytes - costBytes;
  return { state: { ...state, reserveBytes }, ok: reserveBytes >= 0 };
};

/** `grantBytes` is sent now (0: nothing); `againInMs` says when to ask again (`null`: nothing is owed). */
export type GrantDecision = {
  readonly state: CreditState;
  readonly grantBytes: number;
  readonly againInMs: number | null;
};

/** Below a quarter of the window a grant waits, so that grants stay few. */
const grantStep = (limits: CreditLimits): number => Math.max(1, Math.floor(limits.windowBytes / 4));

/** Decides what to give back now. */
export const grantCredit = (state: CreditState, limits: CreditLimits, nowMs: number): GrantDecision => {
  const refill = (Math.max(0, nowMs - state.refilledAtMs) / 1000) * limits.bytesPerSecond;
  const tokens = Math.min(limits.windowBytes, state.tokens + refill);
  const refilled = { ...state, tokens, refilledAtMs: nowMs };
  const wanted = Math.min(state.owedBytes, grantStep(limits));
  if (state.owedBytes === 0 || (wanted < grantStep(limits) && state.outstandingBytes >= limits.windowBytes / 2)) {
    // A small debt may stand: the agent has at least half of its window left.
    return { state: refilled, grantBytes: 0, againInMs: null };
  }
  if (tokens < wanted) {
    const againInMs = Math.max(1, Math.ceil(((wanted - tokens) / limits.bytesPerSecond) * 1000));
    return { state: refilled, grantBytes: 0, againInMs };
  }
  const grantBytes = Math.floor(Math.min(state.owedBytes, tokens));
  const next = {
    ...refilled,
    tokens: tokens - grantBytes,
    owedBytes: state.owedBytes - grantBytes,
    outstandingBytes: state.outstandingBytes + grantBytes,
  };
  return { state: next, grantBytes, againInMs: null };
};
