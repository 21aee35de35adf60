/**
 * Asks an instance over and over whether its event loop still turns. An unanswered deadline decides, never
 * what the instance says of itself; and a verdict is put off while the kernel itself was held up, since then
 * the answer may be waiting unread (DESIGN section 11).
 */
import type { Clock } from '../../Kernel/contract/ports.ts';
import { toKernelError } from '../../Kernel/contract/errors.ts';
import type { InstanceLink } from '../link/link.ts';

export type HeartbeatSettings = { readonly intervalMs: number; readonly limitMs: number };

/** Pings until disposed; `onMissed` is called once. */
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
    const sentMs = clock.monotonicMs();
    try {
      await link.request('ping', null, { timeoutMs: limitMs, signal: ended.signal });
    } catch (thrown) {
      if (ended.signal.aborted) return;
      const { code } = toKernelError(thrown);
      // The connection is gone: the link says so by itself. Anything else, as a full queue, is no verdict.
      if (code === 'INSTANCE_LOST') return;
      if (code !== 'DEADLINE_EXCEEDED') {
        schedule();
        return;
      }
      const lateMs = clock.monotonicMs() - sentMs - limitMs;
      // The timer itself came late: the kernel was stalled or suspended, so this says nothing.
      if (lateMs < limitMs / 2) {
        options.onMissed(`no answer to a ping within ${limitMs} ms`);
        return;
      }
    }
    schedule();
  };
  const schedule = (): void => {
    if (ended.signal.aborted) return;
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
