/**
 * The kernel's private bus (K2): in this process only, never reachable from a module or a socket. What people see
 * of it is `event.follow`, which reads the journal.
 *
 * INVARIANTS
 * - `publish` never waits, never throws and never runs a listener: a listener cannot harm who publishes.
 * - Each listener has a queue of its own; one that is slow, hangs or throws loses only its own events.
 * - Everything is bounded: the journal, each queue, the number of listeners, the time of one delivery.
 */
import { KernelError, toKernelError } from '../../contract/errors.ts';
import type { KernelEvent } from '../../contract/operations/shapes.ts';
import type { Clock } from '../../contract/ports.ts';
import { followJournal, type FollowOptions } from './follow.ts';
import { createJournal } from './journal.ts';
import { createListenerQueue, type ListenerQueue } from './listener-queue.ts';
import { rank, type Severity } from './severity.ts';

export type NewEvent = Omit<KernelEvent, 'seq' | 'at'>;

export type Subscription = {
  /** Names the listener in figures and when it is quarantined. */
  readonly name: string;
  readonly minSeverity?: Severity;
  /** Events that may wait. */
  readonly capacity: number;
  /** The next event comes after a promise returned has settled. */
  readonly onEvent: (event: KernelEvent) => void | Promise<void>;
};

export type ListenerFigures = {
  readonly name: string;
  readonly waiting: number;
  readonly delivered: number;
  readonly dropped: number;
  readonly failed: number;
  readonly quarantined: boolean;
};

export type EventBus = Disposable & {
  readonly publish: (event: NewEvent) => KernelEvent;
  /** @throws KernelError `LIMIT_EXCEEDED` when there are too many listeners */
  readonly subscribe: (subscription: Subscription) => Disposable;
  /** The newest `limit` events, then with `follow` each new one, without a gap, until the signal aborts. */
  readonly follow: (options: FollowOptions) => AsyncIterableIterator<KernelEvent>;
  readonly figures: () => { readonly published: number; readonly listeners: readonly ListenerFigures[] };
};

const MAX_LISTENERS = 64;
/** Failures in a row after which a listener is cut off. */
const MAX_FAILURES = 5;
/** Longest one delivery may take before it counts as failed. */
const DELIVERY_TIMEOUT_MS = 5_000;
/** Deliveries to one listener in one turn of the event loop. */
const BATCH = 32;

type Listener = {
  readonly subscription: Subscription;
  readonly queue: ListenerQueue;
  readonly minRank: number;
  state: 'idle' | 'delivering' | 'quarantined' | 'closed';
  delivered: number;
  dropped: number;
  failed: number;
  failuresInRow: number;
};

export const createEventBus = (options: { readonly clock: Clock; readonly capacity: number }): EventBus => {
  const { clock } = options;
  const journal = createJournal(options.capacity);
  const listeners = new Set<Listener>();
  const waiters = new Set<() => void>();

  const publish = (event: NewEvent): KernelEvent => {
    const numbered = journal.append({ at: new Date(clock.wallMs()).toISOString(), ...event });
    const eventRank = rank(numbered.severity);
    for (const listener of listeners) {
      if (eventRank < listener.minRank || listener.state === 'quarantined') continue;
      if (listener.queue.put(numbered) !== null) listener.dropped += 1;
      wake(listener);
    }
    for (const waiter of [...waiters]) waiter();
    return numbered;
  };

  const wake = (listener: Listener): void => {
    if (listener.state !== 'idle') return;
    listener.state = 'delivering';
    clock.after(0, () => void deliver(listener));
  };

  const deliver = async (listener: Listener): Promise<void> => {
    for (let i = 0; i < BATCH && listener.state === 'delivering'; i += 1) {
      const event = listener.queue.take();
      if (event === undefined) break;
      try {
        const answer = listener.subscription.onEvent(event);
        if (answer !== undefined) await withinTime(clock, answer);
        listener.delivered += 1;
        listener.failuresInRow = 0;
      } catch (thrown) {
        recordFailure(listener, toKernelError(thrown));
      }
    }
    if (listener.state !== 'delivering') return;
    listener.state = 'idle';
    if (listener.queue.length() > 0) wake(listener);
  };

  const recordFailure = (listener: Listener, error: KernelError): void => {
    listener.failed += 1;
    listener.failuresInRow += 1;
    if (listener.failuresInRow < MAX_FAILURES || listener.state === 'closed') return;
    listener.state = 'quarantined';
    listener.queue.clear();
    publish({
      kind: 'listenerQuarantined',
      severity: 'error',
      code: error.code,
      reason: `the listener ${listener.subscription.name} failed ${MAX_FAILURES} times in a row: ${error.message}`,
    });
  };

  const subscribe = (subscription: Subscription): Disposable => {
    if (listeners.size >= MAX_LISTENERS) {
      throw new KernelError('LIMIT_EXCEEDED', `the event bus has ${MAX_LISTENERS} listeners, which is the limit`);
    }
    const listener: Listener = {
      subscription,
      queue: createListenerQueue(subscription.capacity),
      minRank: rank(subscription.minSeverity ?? 'debug'),
      state: 'idle',
      delivered: 0,
      dropped: 0,
      failed: 0,
      failuresInRow: 0,
    };
    listeners.add(listener);
    return {
      [Symbol.dispose]: () => {
        listener.state = 'closed';
        listener.queue.clear();
        listeners.delete(listener);
      },
    };
  };

  return {
    publish,
    subscribe,
    follow: (followOptions) => followJournal({ journal, waiters, clock }, followOptions),
    figures: () => ({ published: journal.nextSeq() - 1, listeners: [...listeners].map(figuresOf) }),
    [Symbol.dispose]: () => {
      for (const listener of listeners) {
        listener.state = 'closed';
        listener.queue.clear();
      }
      listeners.clear();
    },
  };
};

const figuresOf = (listener: Listener): ListenerFigures => ({
  name: listener.subscription.name,
  waiting: listener.queue.length(),
  delivered: listener.delivered,
  dropped: listener.dropped,
  failed: listener.failed,
  quarantined: listener.state === 'quarantined',
});

const withinTime = (clock: Clock, work: Promise<void>): Promise<void> =>
  new Promise((resolve, reject) => {
    const cancel = clock.after(DELIVERY_TIMEOUT_MS, () => {
      reject(new KernelError('DEADLINE_EXCEEDED', `one event took longer than ${DELIVERY_TIMEOUT_MS} ms`));
    });
    work.then(resolve, reject).finally(cancel);
  });
