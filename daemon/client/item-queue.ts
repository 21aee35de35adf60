import { KernelError } from '../../Kernel/contract/errors.ts';

/** Items that a stream may be sent before the client has granted more. */
export const INITIAL_CREDIT = 64;
/** Credit is granted in parts of this size, so that not every item costs a frame. */
const GRANT_STEP = 32;

/** How a stream ended: null, or the fault. */
export type End = { readonly error: KernelError | null };

export type ItemQueue = {
  /** Takes an item from the wire. @throws KernelError `PROTOCOL` when it came without credit or out of order */
  readonly push: (seq: number, item: unknown) => void;
  /** No item will follow; those already here can still be taken. The first end counts. */
  readonly end: (end: End) => void;
  /** The next item, or null at the end. One caller at a time. @throws what the stream ended with */
  readonly take: () => Promise<{ readonly item: unknown } | null>;
};

/** Holds at most as many items as credit was granted, and grants more as they are taken. */
export const createItemQueue = (grant: (items: number) => void): ItemQueue => {
  const items: unknown[] = [];
  let credit = INITIAL_CREDIT;
  let takenSinceGrant = 0;
  let lastSeq: number | null = null;
  let end: End | null = null;
  let wake: (() => void) | null = null;

  const signalChange = () => {
    wake?.();
    wake = null;
  };

  const taken = (item: unknown) => {
    takenSinceGrant += 1;
    if (takenSinceGrant >= GRANT_STEP && end === null) {
      credit += takenSinceGrant;
      grant(takenSinceGrant);
      takenSinceGrant = 0;
    }
    return { item };
  };

  return {
    push: (seq, item) => {
      if (end !== null) return; // sent before the peer saw the cancellation
      if (credit === 0) throw new KernelError('PROTOCOL', 'the kernel sent an item without credit');
      if (lastSeq !== null && seq !== lastSeq + 1) {
        throw new KernelError('PROTOCOL', `the kernel sent item ${seq} after item ${lastSeq}`);
      }
      lastSeq = seq;
      credit -= 1;
      items.push(item);
      signalChange();
    },
    end: (how) => {
      end ??= how;
      signalChange();
    },
    take: async () => {
      while (items.length === 0 && end === null)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      if (items.length > 0) return taken(items.shift());
      if (end?.error) throw end.error;
      return null;
    },
  };
};
