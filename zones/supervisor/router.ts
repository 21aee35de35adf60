/**
 * Brings a call to an instance: checks it against the manifest, waits for readiness within its own deadline,
 * takes the least loaded instance, and checks the result. What an instance answers is never trusted.
 */
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import type { Clock } from '../../Kernel/contract/ports.ts';
import type { Instance } from '../instance/instance.ports.ts';
import type { UnitState } from '../../Kernel/core/watchdog/unit.machine.ts';
import type { Unit } from '../unit/unit.runner.ts';
import type { DesiredModule, ValueIssue } from './desired.ts';

/** Calls that may wait for one module to become ready. */
const MAX_WAITING = 1_024;
/** When a refused waiter may come back. */
const WAIT_RETRY_MS = 100;
const MAX_ISSUES_SHOWN = 8;

export type CallOptions = { readonly timeoutMs?: number | undefined; readonly signal: AbortSignal };

export type RoutedModule = {
  readonly desired: DesiredModule;
  readonly units: readonly Unit[];
  /** Its zone is on its way up: what does not run yet is about to. */
  readonly zoneComing: boolean;
  /** Why the zone does not serve; null: it does. */
  readonly zoneFault: string | null;
};

export type Router = {
  /**
   * @throws KernelError `MODULE_NOT_FOUND`, `FUNCTION_NOT_FOUND`, `INVALID_PARAMS`, `MODULE_UNAVAILABLE`,
   *   `MODULE_QUARANTINED`, `LIMIT_EXCEEDED`, `DEADLINE_EXCEEDED`, `CANCELLED`, `INSTANCE_LOST`, `MODULE_ERROR`,
   *   `RESULT_INVALID`
   */
  readonly call: (module: string, name: string, params: unknown, options: CallOptions) => Promise<unknown>;
  /** Something changed that a waiting call may have waited for. */
  readonly wake: () => void;
  readonly waiting: () => number;
};

const describe = (issues: readonly ValueIssue[]): string =>
  issues
    .slice(0, MAX_ISSUES_SHOWN)
    .map(({ pointer, message }) => `${pointer || '/'}: ${message}`)
    .join('; ');

const check = (issues: readonly ValueIssue[], code: 'INVALID_PARAMS' | 'RESULT_INVALID', what: string): void => {
  if (issues.length === 0) return;
  throw new KernelError(code, `${what}: ${describe(issues)}`, {
    context: { issues: issues.slice(0, MAX_ISSUES_SHOWN) },
  });
};

/** The ready instance with the fewest calls in flight. */
const leastLoaded = (units: readonly Unit[]): Instance | null => {
  let best: Instance | null = null;
  let load = Infinity;
  for (const unit of units) {
    const instance = unit.serving();
    if (instance === null) continue;
    const inFlight = instance.inFlight();
    if (inFlight >= load) continue;
    best = instance;
    load = inFlight;
    if (inFlight === 0) break;
  }
  return best;
};

/** Why there is nothing to wait for; null: an instance may come. */
const hopeless = ({ desired, units, zoneComing, zoneFault }: RoutedModule): KernelError | null => {
  const states = units.map((unit) => unit.state());
  if (states.length > 0 && states.every((state) => state.kind === 'quarantined')) {
    const reason = units[0]?.reason() ?? 'it failed too often';
    return new KernelError('MODULE_QUARANTINED', `${desired.name} is in quarantine: ${reason}`, {
      remedy: `Fix the module, then: kernelctl module restart ${desired.name}`,
    });
  }
  const staysAway = (state: UnitState): boolean =>
    state.kind === 'quarantined' || state.kind === 'stopped' || (state.kind === 'stopping' && !state.restart);
  if (!zoneComing && states.every(staysAway)) {
    return new KernelError('MODULE_UNAVAILABLE', `${desired.name} does not run: ${zoneFault ?? 'it is stopped'}`, {
      retryAfterMs: 1_000,
    });
  }
  return null;
};

export const createRouter = (ports: {
  readonly clock: Clock;
  readonly find: (module: string) => RoutedModule | null;
  readonly defaultTimeoutMs: () => number;
}): Router => {
  const waiters = new Set<() => void>();

  const nextChange = (untilMs: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const done = (): void => {
        waiters.delete(done);
        cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = ports.clock.after(Math.max(0, untilMs - ports.clock.monotonicMs()), done);
      signal.addEventListener('abort', done, { once: true });
      waiters.add(done);
    });

  const find = (module: string): RoutedModule => {
    const routed = ports.find(module);
    if (routed === null)
      throw new KernelError('MODULE_NOT_FOUND', `no module ${JSON.stringify(module)} is installed`, {
        remedy: 'kernelctl module ls shows what is.',
      });
    return routed;
  };

  const awaitInstance = async (module: string, untilMs: number, signal: AbortSignal): Promise<Instance> => {
    for (;;) {
      // Looked up anew each time: it may have been replaced or removed while the call waited.
      const routed = find(module);
      const instance = leastLoaded(routed.units);
      if (instance !== null) return instance;
      const error = hopeless(routed);
      if (error !== null) throw error;
      if (signal.aborted) throw new KernelError('CANCELLED', 'the caller withdrew the call');
      if (ports.clock.monotonicMs() >= untilMs) {
        throw new KernelError('MODULE_UNAVAILABLE', `no instance of ${module} became ready in time`, {
          retryAfterMs: 1_000,
        });
      }
      if (waiters.size >= MAX_WAITING) {
        throw new KernelError('LIMIT_EXCEEDED', 'too many calls wait for instances', { retryAfterMs: WAIT_RETRY_MS });
      }
      await nextChange(untilMs, signal);
    }
  };

  const attempt = async (
    module: string,
    name: string,
    params: unknown,
    {
      untilMs,
      allowedMs,
      signal,
      idempotent,
    }: { untilMs: number; allowedMs: number; signal: AbortSignal; idempotent: boolean },
  ): Promise<unknown> => {
    for (let tries = 1; ; tries += 1) {
      const instance = leastLoaded(find(module).units) ?? (await awaitInstance(module, untilMs, signal));
      const timeoutMs = Math.max(1, Math.min(allowedMs, untilMs - ports.clock.monotonicMs()));
      try {
        return await instance.call(name, params, { timeoutMs, signal });
      } catch (thrown) {
        // Nobody knows how far the lost instance came, so only a function that declares it may be repeated.
        if (toKernelError(thrown).code !== 'INSTANCE_LOST' || !idempotent || tries > 1) throw thrown;
      }
    }
  };

  return {
    call: async (module, name, params, { timeoutMs, signal }) => {
      const { desired } = find(module);
      const contract = desired.functions.get(name);
      if (contract === undefined) {
        const known = [...desired.functions.keys()].join(', ') || 'none';
        throw new KernelError('FUNCTION_NOT_FOUND', `${module} declares no function ${JSON.stringify(name)}`, {
          remedy: `It declares: ${known}.`,
        });
      }
      check(contract.checkParams(params), 'INVALID_PARAMS', `the parameters of ${module}.${name} do not fit`);
      // What the manifest allows is for the function itself; an instance that is being replaced is waited for as
      // well. A caller may shorten both together, never lengthen them.
      const waitMs = ports.defaultTimeoutMs();
      const allowedMs = contract.timeoutMs ?? waitMs;
      const untilMs = ports.clock.monotonicMs() + Math.min(timeoutMs ?? Infinity, waitMs + allowedMs);
      const result = await attempt(module, name, params, {
        untilMs,
        allowedMs,
        signal,
        idempotent: contract.idempotent,
      });
      check(
        contract.checkResult(result),
        'RESULT_INVALID',
        `the result of ${module}.${name} does not fit its declaration`,
      );
      return result;
    },
    wake: () => {
      for (const wake of [...waiters]) wake();
    },
    waiting: () => waiters.size,
  };
};
