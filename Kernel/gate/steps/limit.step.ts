import { KernelError } from '../../contract/errors.ts';
import type { Step } from '../call.ts';

/** How many calls may be in flight. Read at each call, so that a reload takes effect at once. */
export type InFlightLimits = { readonly perConnection: number; readonly total: number };

const RETRY_AFTER_MS = 100;

/**
 * Bounds the calls in flight for each connection and for the whole gate. A call holds its place until it is
 * answered, a stream until it ends.
 *
 * @throws KernelError `LIMIT_EXCEEDED` with `retryAfterMs`
 */
export const limitStep = (limits: () => InFlightLimits): Step => {
  let total = 0;
  return {
    name: 'limit',
    enter: (call) => {
      const { connection } = call.request;
      const bound = limits();
      if (connection !== undefined && connection.inFlight >= bound.perConnection) {
        throw exceeded('this connection', bound.perConnection);
      }
      if (total >= bound.total) throw exceeded('the kernel', bound.total);
      total += 1;
      if (connection !== undefined) connection.inFlight += 1;
    },
    leave: (call) => {
      total -= 1;
      const { connection } = call.request;
      if (connection !== undefined) connection.inFlight -= 1;
    },
  };
};

const exceeded = (who: string, limit: number): KernelError =>
  new KernelError('LIMIT_EXCEEDED', `${who} has ${limit} requests in flight, which is the limit`, {
    context: { limit },
    retryAfterMs: RETRY_AFTER_MS,
  });
