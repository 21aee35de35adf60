/** The time limits of an instance, by the names that its machine gives them. */
import type { Clock } from '../../Kernel/contract/ports.ts';
import type { InstancePorts } from './instance.ports.ts';
import type { InstanceTimer } from './instance.machine.ts';

/** How long a kill may take before it is sent again. */
export const KILL_RETRY_MS = 2_000;

export type InstanceTimers = Disposable & {
  /** Starts anew when it runs already. */
  readonly set: (timer: InstanceTimer) => void;
  readonly clear: (timer: InstanceTimer) => void;
};

export const createInstanceTimers = (ports: {
  readonly clock: Clock;
  readonly settings: InstancePorts['settings'];
  readonly adopted: boolean;
  readonly onExpired: (timer: InstanceTimer) => void;
}): InstanceTimers => {
  const running = new Map<InstanceTimer, () => void>();

  const timeoutOf = (timer: InstanceTimer): number => {
    const settings = ports.settings();
    switch (timer) {
      case 'start':
        return ports.adopted ? settings.reconnectTimeoutMs : settings.startTimeoutMs;
      case 'assign':
        return settings.assignTimeoutMs;
      case 'drain':
        return settings.drainTimeoutMs;
      case 'kill':
        return KILL_RETRY_MS;
    }
  };
  const clear = (timer: InstanceTimer): void => {
    running.get(timer)?.();
    running.delete(timer);
  };

  return {
    set: (timer) => {
      clear(timer);
      running.set(
        timer,
        ports.clock.after(timeoutOf(timer), () => ports.onExpired(timer)),
      );
    },
    clear,
    [Symbol.dispose]: () => {
      for (const timer of [...running.keys()]) clear(timer);
    },
  };
};
