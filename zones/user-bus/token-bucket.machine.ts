/** A rate with a burst of one second. Pure: time is given, state is returned. */

export type TokenBucket = { readonly tokens: number; readonly refilledAtMs: number };

export const newTokenBucket = (perSecond: number, nowMs: number): TokenBucket => ({
  tokens: perSecond,
  refilledAtMs: nowMs,
});

/** `retryAfterMs` is 0 when a token was taken, else how long until there is one. */
export type TakeDecision = { readonly state: TokenBucket; readonly taken: boolean; readonly retryAfterMs: number };

export const takeToken = (state: TokenBucket, perSecond: number, nowMs: number): TakeDecision => {
  // A clock that stood still or was restarted must not take tokens away.
  const elapsedMs = Math.max(0, nowMs - state.refilledAtMs);
  const tokens = Math.min(perSecond, state.tokens + (elapsedMs / 1000) * perSecond);
  if (tokens >= 1) return { state: { tokens: tokens - 1, refilledAtMs: nowMs }, taken: true, retryAfterMs: 0 };
  const retryAfterMs = Math.ceil(((1 - tokens) / perSecond) * 1000);
  return { state: { tokens, refilledAtMs: nowMs }, taken: false, retryAfterMs };
};
