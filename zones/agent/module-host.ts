/**
 * The one module of this instance: received, imported, started, called, stopped.
 *
 * ```
 *  blank --begin--> receiving --commit--> loading --> ready --stop--> stopped
 *                       |                    |
 *                       +------- failed -----+   (the kernel then ends the instance)
 * ```
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type {
  AssignBeginParams,
  AssignChunkParams,
  AssignCommitResult,
  HelloParams,
} from '../../Kernel/contract/wire/agent.schema.ts';
import type { Call } from './calls.ts';
import { createContext, type ModuleContextBase, type ModuleIdentity } from './context.ts';
import { isSafePath, receiveModuleFiles, type ModuleFiles } from './module-files.ts';
import { moduleError } from './module-error.ts';

type Exported = Readonly<Record<string, unknown>>;
type ModuleFunction = (...args: unknown[]) => unknown;

type State =
  | { readonly kind: 'blank' }
  | { readonly kind: 'receiving'; readonly begin: AssignBeginParams; readonly files: ModuleFiles }
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed' }
  | {
      readonly kind: 'ready' | 'stopped';
      readonly begin: AssignBeginParams;
      readonly exported: Exported;
      readonly functions: ReadonlyMap<string, ModuleFunction>;
      readonly base: ModuleContextBase;
    };

export type ModuleHost = {
  readonly assigned: () => HelloParams['assigned'];
  readonly begin: (params: AssignBeginParams) => null;
  readonly chunk: (params: AssignChunkParams) => null;
  readonly commit: () => Promise<AssignCommitResult>;
  /** Runs a function; rejects with what it threw, or with KernelError when there is none to run. */
  readonly call: (name: string, params: unknown, call: Call) => Promise<unknown>;
  /** Aborts `ctx.signal` of `start`, runs `stop`, waits for both up to `graceMs`. */
  readonly stop: (graceMs: number) => Promise<null>;
};

/** A `start` that has not ended by then is one that runs for long; one that fails sooner fails the load. */
const START_SETTLE_MS = 20;
const EXPORTS_MAX = 512;
const EXPORT_NAME_CHARS = 128;

const isFunction = (value: unknown): value is ModuleFunction => typeof value === 'function';

export const createModuleHost = (options: {
  readonly directory: string;
  readonly createBase: (module: ModuleIdentity, config: unknown) => ModuleContextBase;
  /** `start` was rejected after the module was reported as loaded. */
  readonly onFailed: (thrown: unknown) => void;
}): ModuleHost => {
  const stopping = new AbortController();
  let state: State = { kind: 'blank' };
  let started: Promise<void> = Promise.resolve();

  const load = async (begin: AssignBeginParams): Promise<Extract<State, { kind: 'ready' | 'stopped' }>> => {
    let exported: Exported;
    try {
      exported = (await import(pathToFileURL(join(options.directory, begin.entry)).href)) as Exported;
    } catch (thrown) {
      throw moduleError(thrown, 'MODULE_LOAD_FAILED');
    }
    const functions = new Map<string, ModuleFunction>();
    for (const name of begin.functions) {
      const found = Object.hasOwn(exported, name) ? exported[name] : undefined;
      if (!isFunction(found)) {
        throw new KernelError(
          'MODULE_LOAD_FAILED',
          `the module declares the function ${JSON.stringify(name)} but does not export it`,
        );
      }
      functions.set(name, found);
    }
    const base = options.createBase({ name: begin.module, version: begin.version, digest: begin.digest }, begin.config);
    return { kind: 'ready', begin, exported, functions, base };
  };

  /** Runs `start`; resolves when it ended or runs on, rejects when it failed at once. */
  const start = async (exported: Exported, base: ModuleContextBase): Promise<void> => {
    const run = exported['start'];
    if (!isFunction(run)) return;
    let loaded = false;
    const running = (async () => {
      await run(createContext(base, null, () => stopping.signal));
    })();
    started = running.catch((thrown: unknown) => {
      // Ending with an error because it was told to end is the usual way to honour an AbortSignal.
      if (loaded && !stopping.signal.aborted) options.onFailed(thrown);
    });
    const settle = new AbortController();
    try {
      await Promise.race([running, delay(START_SETTLE_MS, undefined, { signal: settle.signal })]);
    } catch (thrown) {
      throw moduleError(thrown, 'MODULE_LOAD_FAILED');
    } finally {
      settle.abort();
    }
    loaded = true;
  };

  return {
    assigned: () =>
      state.kind === 'ready' || state.kind === 'stopped'
        ? { module: state.begin.module, digest: state.begin.digest }
        : null,
    begin: (begin) => {
      if (state.kind !== 'blank') throw new KernelError('CONFLICT', `the instance is ${state.kind}, not blank`);
      if (!isSafePath(begin.entry)) throw new KernelError('INVALID_PARAMS', 'the entry is not a safe path');
      state = { kind: 'failed' };
      state = { kind: 'receiving', begin, files: receiveModuleFiles(options.directory, begin.files) };
      return null;
    },
    chunk: (chunk) => {
      if (state.kind !== 'receiving') throw new KernelError('CONFLICT', `the instance is ${state.kind}, not receiving`);
      state.files.write(chunk);
      return null;
    },
    commit: async () => {
      if (state.kind !== 'receiving') throw new KernelError('CONFLICT', `the instance is ${state.kind}, not receiving`);
      const { begin, files } = state;
      state = { kind: 'loading' };
      try {
        files.finish(begin.digest);
        const loaded = await load(begin);
        await start(loaded.exported, loaded.base);
        state = loaded;
        return {
          digest: begin.digest,
          exports: Object.keys(loaded.exported)
            .filter((name) => name.length <= EXPORT_NAME_CHARS)
            .slice(0, EXPORTS_MAX),
          longRunning: isFunction(loaded.exported['start']),
        };
      } catch (thrown) {
        state = { kind: 'failed' };
        throw thrown;
      }
    },
    call: async (name, params, call) => {
      if (state.kind === 'stopped') throw new KernelError('STOPPING', 'the module was stopped');
      if (state.kind !== 'ready') throw new KernelError('MODULE_UNAVAILABLE', `the instance is ${state.kind}`);
      const fn = state.functions.get(name);
      if (fn === undefined)
        throw new KernelError('FUNCTION_NOT_FOUND', `there is no function ${JSON.stringify(name.slice(0, 80))}`);
      return await fn(params, createContext(state.base, call.deadline, call.signal));
    },
    stop: async (graceMs) => {
      if (state.kind !== 'ready') return null;
      const { exported, base } = state;
      state = { ...state, kind: 'stopped' };
      stopping.abort(new KernelError('STOPPING', 'the module is being stopped'));
      const stop = exported['stop'];
      const ended = Promise.all([
        started,
        isFunction(stop)
          ? (async () => {
              await stop(createContext(base, null, () => stopping.signal));
            })()
          : null,
      ]);
      const settle = new AbortController();
      try {
        await Promise.race([ended, delay(Math.max(0, graceMs), undefined, { signal: settle.signal })]);
      } catch (thrown) {
        throw moduleError(thrown, 'MODULE_ERROR');
      } finally {
        settle.abort();
      }
      return null;
    },
  };
};
