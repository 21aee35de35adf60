/**
 * Uids for instances, one each, leased per engine. What the engine holds is the truth: a container's name
 * carries its uid, so two homes that choose the same one at the same time cannot both succeed.
 */
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { EnginePort } from '../../Kernel/contract/ports.ts';
import type { UidRange } from '../../Kernel/contract/effective-config.ts';
import { reservedUids } from '../uids/host-uids.ts';
import { chooseUid, type UidClaim } from '../uids/uid-lease.verdict.ts';

export type UidLeases = {
  /** Chooses a uid that nobody is known to hold. @throws KernelError `UID_UNAVAILABLE` */
  readonly lease: (signal: AbortSignal) => Promise<number>;
  /** Another home was quicker: forget what was known of the engine, and never offer this one meanwhile. */
  readonly lost: (uid: number) => void;
  /** An adopted instance holds it. */
  readonly hold: (uid: number) => void;
  readonly release: (uid: number) => void;
};

/** `claims`: ids that accounts and subordinate ranges of this machine have, read anew at each lease. */
export const createUidLeases = (options: {
  readonly engine: EnginePort;
  readonly range: () => UidRange;
  readonly claims: () => Promise<readonly UidClaim[]>;
}): UidLeases => {
  const held = new Set<number>();
  let foreign: ReadonlySet<number> | null = null;
  let latest: number | null = null;

  return {
    lease: async (signal) => {
      foreign ??= await options.engine.leasedUids(signal);
      const taken = foreign;
      // An account may have been made since the last time.
      const claims = await options.claims();
      const range = options.range();
      const reserved = reservedUids(range, claims);
      const choice = chooseUid(range, (uid) => held.has(uid) || taken.has(uid) || reserved(uid), latest);
      if (!choice.ok) {
        // What was known may be old: the next lease asks again.
        foreign = null;
        throw new KernelError('UID_UNAVAILABLE', choice.reason, {
          retryAfterMs: 1000,
          remedy: 'Widen instances.uidRange in kernel.yaml.',
        });
      }
      held.add(choice.uid);
      latest = choice.uid;
      return choice.uid;
    },
    lost: (uid) => {
      held.delete(uid);
      foreign = null;
    },
    hold: (uid) => void held.add(uid),
    release: (uid) => void held.delete(uid),
  };
};
