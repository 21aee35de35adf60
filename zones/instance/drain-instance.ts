/** Waits for the calls in flight, then asks the module to stop; within the time for both together. */
import { toKernelError } from '../../Kernel/contract/errors.ts';
import type { Clock, Log } from '../../Kernel/contract/ports.ts';
import type { InstanceLink } from '../link/link.ts';

/** Kept back, so that the answer to `stop` still counts when the time is over. */
const MARGIN_MS = 250;
/** How often it looks whether calls are still in flight. */
const POLL_MS = 10;

/** Never throws: a module that does not stop by itself is ended all the same. */
export const drainInstance = async (
  link: InstanceLink,
  options: { readonly clock: Clock; readonly log: Log; readonly ended: AbortSignal; readonly drainTimeoutMs: number },
): Promise<void> => {
  const { clock, log, ended } = options;
  const untilMs = clock.monotonicMs() + options.drainTimeoutMs - MARGIN_MS;
  while (link.inFlight() > 0 && clock.monotonicMs() < untilMs && !ended.aborted) {
    await new Promise<void>((resolve) => void clock.after(POLL_MS, resolve));
  }
  const graceMs = Math.max(1, untilMs - clock.monotonicMs());
  try {
    await link.request('stop', { graceMs }, { timeoutMs: graceMs, signal: ended });
  } catch (thrown) {
    log.warn('the module did not stop by itself', { reason: toKernelError(thrown).message });
  }
};
