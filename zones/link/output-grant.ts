/** Runs the credit machine of one connection: spends, and gives back as fast as the log may grow. */
import type { Clock } from '../../Kernel/contract/ports.ts';
import { grantCredit, newCredit, spendCredit, type CreditLimits } from './output-credit.machine.ts';
import type { Timers } from './timers.ts';

export type OutputGrant = {
  /** False when the line was not covered. */
  readonly spend: (costBytes: number) => boolean;
};

/** The rate may be raised while a grant is waited for. */
const ASK_AGAIN_MS = 1_000;

export const createOutputGrant = (
  options: Omit<CreditLimits, 'bytesPerSecond'> & {
    /** Asked for at each grant, so that a reload of the configuration holds at once. */
    readonly bytesPerSecond: () => number;
    readonly clock: Clock;
    readonly timers: Timers;
    readonly notify: (method: string, params: unknown) => void;
  },
): OutputGrant => {
  const { clock } = options;
  const limits = (): CreditLimits => ({
    windowBytes: options.windowBytes,
    reserveBytes: options.reserveBytes,
    bytesPerSecond: options.bytesPerSecond(),
  });
  let credit = newCredit(limits(), clock.monotonicMs());
  let waiting = false;

  const give = (): void => {
    const { state, grantBytes, againInMs } = grantCredit(credit, limits(), clock.monotonicMs());
    credit = state;
    if (grantBytes > 0) options.notify('output.credit', { bytes: grantBytes });
    if (againInMs === null) return;
    waiting = true;
    options.timers.after(Math.min(againInMs, ASK_AGAIN_MS), () => {
      waiting = false;
      give();
    });
  };

  return {
    spend: (costBytes) => {
      const { state, ok } = spendCredit(credit, costBytes);
      credit = state;
      if (ok && !waiting) give();
      return ok;
    },
  };
};
