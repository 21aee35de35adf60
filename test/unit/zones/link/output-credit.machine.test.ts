import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { grantCredit, newCredit, spendCredit } from '../../../../zones/link/output-credit.machine.ts';

const LIMITS = { windowBytes: 1000, bytesPerSecond: 100, reserveBytes: 50 };

describe('output credit', () => {
  it('gives back no faster than the rate, after the first window', () => {
    let state = newCredit(LIMITS, 0);
    let sent = 0;
    for (let nowMs = 0; nowMs <= 60_000; nowMs += 10) {
      while (state.outstandingBytes >= 100) {
        const spent = spendCredit(state, 100);
        expect(spent.ok).toBe(true);
        state = spent.state;
        sent += 100;
      }
      state = grantCredit(state, LIMITS, nowMs).state;
    }
    // Two windows at first (the credit and the full bucket), then the rate.
    expect(sent).toBeLessThanOrEqual(2 * 1000 + 60 * 100);
    expect(sent).toBeGreaterThanOrEqual(60 * 100);
  });

  it('covers last words from the reserve once, and refuses more', () => {
    let state = newCredit(LIMITS, 0);
    state = spendCredit(state, 1000).state;
    const words = spendCredit(state, 40);
    expect(words.ok).toBe(true);
    expect(spendCredit(words.state, 40).ok).toBe(false);
  });

  it('never strands an agent: owed credit is granted, or a time is named, or half the window is left', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(400), fc.nat(2000))), (steps) => {
        let state = newCredit(LIMITS, 0);
        let nowMs = 0;
        for (const [cost, gap] of steps) {
          if (cost <= state.outstandingBytes) state = spendCredit(state, cost).state;
          const decision = grantCredit(state, LIMITS, (nowMs += gap));
          state = decision.state;
          expect(state.outstandingBytes + state.owedBytes).toBe(LIMITS.windowBytes);
          expect(decision.againInMs !== null || decision.grantBytes > 0 || state.outstandingBytes >= 500).toBe(true);
        }
      }),
    );
  });
});
