import type { KernelEvent } from '../../contract/operations/shapes.ts';
import type { Clock } from '../../contract/ports.ts';
import type { Journal } from './journal.ts';

export type FollowOptions = {
  /** Newest events to begin with. */
  readonly limit: number;
  /** False: end after those. */
  readonly follow: boolean;
  /** Ends the iteration. */
  readonly signal: AbortSignal;
};

type FollowPorts = { readonly journal: Journal; readonly waiters: Set<() => void>; readonly clock: Clock };

/**
 * Reads the journal by sequence number, old and new events alike, so that there is no seam between listing
 * and following. A reader too slow for the journal is told how many events it missed.
 */
export const followJournal = async function* (
  ports: FollowPorts,
  options: FollowOptions,
): AsyncIterableIterator<KernelEvent> {
  const { journal } = ports;
  const endSeq = options.follow ? Infinity : journal.nextSeq();
  let seq = Math.max(journal.oldestSeq(), journal.nextSeq() - options.limit);
  while (seq < endSeq && !options.signal.aborted) {
    if (seq < journal.oldestSeq()) {
      const missed = journal.oldestSeq() - seq;
      seq = journal.oldestSeq();
      yield missedEvent(ports, seq - 1, missed);
      continue;
    }
    const event = journal.at(seq);
    if (event === undefined) {
      await nextPublished(ports.waiters, options.signal);
      continue;
    }
    seq += 1;
    yield event;
  }
};

const missedEvent = (ports: FollowPorts, seq: number, missed: number): KernelEvent => ({
  seq,
  at: new Date(ports.clock.wallMs()).toISOString(),
  kind: 'eventsMissed',
  severity: 'warn',
  reason: `${missed} events were overwritten before this reader took them`,
});

const nextPublished = (waiters: Set<() => void>, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      waiters.delete(done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    waiters.add(done);
    signal.addEventListener('abort', done, { once: true });
  });
