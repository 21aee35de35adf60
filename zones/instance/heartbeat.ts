/**
 * Asks an instance over and over whether its event loop still turns. An unanswered deadline decides, never
 * what the instance says of itself; and a verdict is put off while the kernel itself was held up, since then
 * the answer may be waiting unread (DESIGN section 11).
 */
import type { Clock } from '../../Kernel/contract/ports.ts';
import { toKernelError } from '../../Kernel/contract/errors.ts';
import type { InstanceLink } from '../link/link.ts';

export type HeartbeatSettings = { readonly intervalMs: number; readonly limitMs: number };

/**
 * Pings once. True only when the time passed without an answer while the kernel itself was awake; a lost connection
 * or a full queue is no silence, and others see to it.
 */
export const isSilent = async (
  link: InstanceLink,
  clock: Clock,
  limitMs: number,
  signal: AbortSignal,
): Promise<boolean> => {
  const sentMs = clock.monotonicMs();
  try {
    await link.request('ping', null, { timeoutMs: limitMs, signal });
    return false;
  } catch (thrown) {
    if (toKernelError(thrown).code !== 'DEADLINE_EXCEEDED') return false;
    // The timer itself came late: the kernel was stalled or suspended, so this says nothing.
    const lateMs = clock.monotonicMs() - sentMs - limitMs;
    return lateMs < limitMs / 2;
  }
};

/** Pings until disposed; `onMissed` is called at most once. */
export const startHeartbeat = (options: {
  readonly link: InstanceLink;
  readonly clock: Clock;
  readonly settings: () => HeartbeatSettings;
  readonly onMissed: (detail: string) => void;
}): Disposable => {
  const { link, clock, settings } = options;
  const ended = new AbortController();
  let cancelTimer = (): void => undefined;

  const beat = async (): Promise<void> => {
    const { limitMs } = settings();
    const silent = await isSilent(link, clock, limitMs, ended.signal);
    if (ended.signal.aborted) return;
    if (silent) options.onMissed(`no answer to a ping within ${limitMs} ms`);
    else schedule();
  };
  const schedule = (): void => {
    cancelTimer = clock.after(settings().intervalMs, () => void beat());
  };
  schedule();

  return {
    [Symbol.dispose]: () => {
      ended.abort();
      cancelTimer();
    },
  };
};
