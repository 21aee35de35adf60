import type { KernelEvent } from '../../contract/operations/shapes.ts';

/** The newest events in order of `seq`, at most `capacity` of them. Sequence numbers start at 1 and have no gaps. */
export type Journal = {
  readonly append: (event: Omit<KernelEvent, 'seq'>) => KernelEvent;
  /** The event of that number; undefined when it has not happened yet or was overwritten. */
  readonly at: (seq: number) => KernelEvent | undefined;
  readonly oldestSeq: () => number;
  /** What the next event will get. */
  readonly nextSeq: () => number;
};

export const createJournal = (capacity: number): Journal => {
  const ring: KernelEvent[] = [];
  let nextSeq = 1;
  const oldestSeq = (): number => Math.max(1, nextSeq - capacity);
  return {
    append: (event) => {
      const numbered: KernelEvent = Object.freeze({ seq: nextSeq, ...event });
      ring[(nextSeq - 1) % capacity] = numbered;
      nextSeq += 1;
      return numbered;
    },
    at: (seq) => (seq >= oldestSeq() && seq < nextSeq ? ring[(seq - 1) % capacity] : undefined),
    oldestSeq,
    nextSeq: () => nextSeq,
  };
};
