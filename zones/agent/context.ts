/** What a module gets as its last argument. */
import type { BusClient } from './bus-client.ts';
import { formatWithOptions } from 'node:util';
import type { Output, OutputLevel } from './output.ts';

export type ModuleIdentity = { readonly name: string; readonly version: string; readonly digest: string };

/** The same for every call of a module. */
export type ModuleContextBase = {
  /** Validated configuration values, deep frozen. */
  readonly config: unknown;
  readonly log: Readonly<Record<OutputLevel, (...args: unknown[]) => void>>;
  readonly bus: BusClient['forModule'];
  readonly module: ModuleIdentity;
};

/** `ctx` as a function or `start` sees it; frozen. */
export type ModuleContext = ModuleContextBase & {
  /** Aborts at the deadline, when the caller withdraws, or when the module is stopped. */
  readonly signal: AbortSignal;
  /** When the answer is due, epoch milliseconds; `null` for `start` and `stop`. */
  readonly deadline: number | null;
};

/** Freezes a plain value and all in it. */
export const deepFreeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
};

export const createContextBase = (options: {
  readonly config: unknown;
  readonly module: ModuleIdentity;
  readonly output: Output;
  readonly bus: BusClient;
}): ModuleContextBase => {
  const say =
    (level: OutputLevel) =>
    (...args: unknown[]) =>
      options.output.write('log', level, `${formatWithOptions({ colors: false }, ...args)}\n`);
  return {
    config: deepFreeze(options.config),
    log: Object.freeze({ debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') }),
    bus: Object.freeze(options.bus.forModule),
    module: Object.freeze(options.module),
  };
};

/**
 * Adds what one call has of its own. The signal is made when it is first read: most functions never look
 * at it, and making one costs more than the rest of a short call.
 */
export const createContext = (
  base: ModuleContextBase,
  deadline: number | null,
  signal: () => AbortSignal,
): ModuleContext =>
  Object.freeze({
    config: base.config,
    log: base.log,
    bus: base.bus,
    module: base.module,
    deadline,
    get signal() {
      return signal();
    },
  });
