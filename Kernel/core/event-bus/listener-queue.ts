import type { KernelEvent } from '../../contract/operations/shapes.ts';
import { rank, SEVERITIES } from './severity.ts';

/**
 * What waits for one listener. `take` gives the highest severity first, and the oldest of it. When full, the
 * oldest of the lowest severity goes; an event that is itself lower than all that waits is the one dropped.
 */
export type ListenerQueue = {
  /** Gives the event that was dropped to make room, or null. */
  readonly put: (event: KernelEvent) => KernelEvent | null;
  readonly take: () => KernelEvent | undefined;
  readonly length: () => number;
  readonly clear: () => void;
};

export const createListenerQueue = (capacity: number): ListenerQueue => {
  const bySeverity: KernelEvent[][] = SEVERITIES.map(() => []);
  let length = 0;

  const dropLowest = (): KernelEvent => {
    length -= 1;
    return bySeverity.find((events) => events.length > 0)!.shift()!;
  };

  return {
    put: (event) => {
      bySeverity[rank(event.severity)]!.push(event);
      length += 1;
      return length > capacity ? dropLowest() : null;
    },
    take: () => {
      if (length === 0) return undefined;
      length -= 1;
      return bySeverity.findLast((events) => events.length > 0)!.shift();
    },
    length: () => length,
    clear: () => {
      for (const events of bySeverity) events.length = 0;
      length = 0;
    },
  };
};
