/**
 * How many instances may be starting at the same time. Starting costs cpu time, mostly Node's own; fifty at once on two
 * cores would all miss the time limit that each alone keeps with ease.
 */
import { KernelError } from '../../Kernel/contract/errors.ts';

export type LaunchSlots = {
  /**
   * Waits for a slot, first come first served. The function returned gives it back; calling it again does nothing.
   *
   * @throws KernelError `CANCELLED` when the signal aborts before there is one
   */
  readonly acquire: (signal: AbortSignal) => Promise<() => void>;
};

export const createLaunchSlots = (count: number): LaunchSlots => {
  const waiting: (() => void)[] = [];
  let free = count;

  const grant = (): (() => void) => {
    let given = true;
    return () => {
      if (!given) return;
      given = false;
      free += 1;
      waiting.shift()?.();
    };
  };

  return {
    acquire: (signal) =>
      new Promise((resolve, reject) => {
        const take = (): void => {
          signal.removeEventListener('abort', giveUp);
          free -= 1;
          resolve(grant());
        };
        const giveUp = (): void => {
          const at = waiting.indexOf(take);
          if (at >= 0) waiting.splice(at, 1);
          reject(new KernelError('CANCELLED', 'not wanted any more before it could start'));
        };
        if (signal.aborted) return giveUp();
        if (free > 0 && waiting.length === 0) return take();
        signal.addEventListener('abort', giveUp, { once: true });
        waiting.push(take);
      }),
  };
};
