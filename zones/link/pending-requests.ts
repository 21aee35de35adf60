/**
 * Requests in flight on one connection. Ids carry a random epoch, so that a reply kept from an earlier
 * connection, or guessed, matches nothing.
 */
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { Clock, Random } from '../../Kernel/contract/ports.ts';
import { TIMER_MAX_MS } from '../../Kernel/contract/wire/agent.constants.ts';
import type { RequestId } from '../../Kernel/contract/wire/jsonrpc.schema.ts';
import type { RequestOptions } from './link.ts';

type Pending = {
  readonly method: string;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: KernelError) => void;
  /** Stops the timer and the listener on the caller's signal. */
  readonly release: () => void;
};

export type PendingRequests = {
  readonly size: () => number;
  /** Registers a request; `onAbandoned` runs when it times out or is aborted, before the rejection. */
  readonly add: (
    method: string,
    options: RequestOptions,
    send: (id: string) => void,
    onAbandoned: (id: string) => void,
  ) => Promise<unknown>;
  /** Takes out the request that a reply answers; `undefined` when nothing waits for it. */
  readonly take: (id: RequestId) => Pending | undefined;
  /** True, once, for the reply to a request that was abandoned: it was asked for, only too late. */
  readonly wasAbandoned: (id: RequestId) => boolean;
  readonly rejectAll: (makeError: () => KernelError) => void;
};

/** Abandoned ids remembered: beyond this the oldest late replies count as unsolicited. */
const ABANDONED_MAX = 4096;

export const createPendingRequests = (options: { readonly clock: Clock; readonly random: Random }): PendingRequests => {
  const { clock } = options;
  const epoch = options.random.hex(8);
  const pending = new Map<RequestId, Pending>();
  const abandoned = new Set<RequestId>();
  let count = 0;

  const abandon = (id: string): Pending | undefined => {
    const entry = pending.get(id);
    if (entry === undefined) return undefined;
    pending.delete(id);
    entry.release();
    abandoned.add(id);
    if (abandoned.size > ABANDONED_MAX)
      for (const oldest of abandoned) {
        abandoned.delete(oldest);
        break;
      }
    return entry;
  };

  const add: PendingRequests['add'] = (method, { timeoutMs, signal }, send, onAbandoned) => {
    const id = `${epoch}.${(count += 1)}`;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const fail = (error: () => KernelError) => {
      const entry = abandon(id);
      if (entry === undefined) return;
      onAbandoned(id);
      entry.reject(error());
    };
    const cancelTimer = clock.after(Math.min(timeoutMs, TIMER_MAX_MS), () => {
      fail(() => new KernelError('DEADLINE_EXCEEDED', `no answer to ${method} within ${Math.round(timeoutMs)} ms`));
    });
    let release = cancelTimer;
    if (signal !== undefined) {
      const onAbort = () =>
        fail(() => new KernelError('CANCELLED', `${method} was withdrawn`, { cause: signal.reason }));
      signal.addEventListener('abort', onAbort, { once: true });
      release = () => {
        cancelTimer();
        signal.removeEventListener('abort', onAbort);
      };
    }
    pending.set(id, { method, resolve, reject, release });
    try {
      send(id);
    } catch (error) {
      // Never sent: nothing to cancel and no late reply to expect.
      pending.delete(id);
      release();
      throw error;
    }
    return promise;
  };

  return {
    size: () => pending.size,
    add,
    take: (id) => {
      const entry = pending.get(id);
      if (entry === undefined) return undefined;
      pending.delete(id);
      entry.release();
      return entry;
    },
    wasAbandoned: (id) => abandoned.delete(id),
    rejectAll: (makeError) => {
      const entries = [...pending.values()];
      pending.clear();
      abandoned.clear();
      for (const entry of entries) {
        entry.release();
        entry.reject(makeError());
      }
    },
  };
};
