/** Serves what the kernel asks: calls, and everything about the module's life. */
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import type { AssignBeginParams, AssignChunkParams, CallParams } from '../../Kernel/contract/wire/agent.schema.ts';
import { encodeError } from '../../Kernel/contract/wire/error-object.ts';
import type { Calls } from './calls.ts';
import { encodeValue, type WireLimits } from './encode-value.ts';
import type { LoopLag } from './loop-lag.ts';
import { describeThrown, moduleError } from './module-error.ts';
import type { ModuleHost } from './module-host.ts';
import type { Output } from './output.ts';

type Id = string | number;

export type Serving = {
  /** Runs a function and answers; never rejects. */
  readonly call: (id: Id, params: CallParams) => Promise<void>;
  /** Serves any other request and answers; never rejects. */
  readonly request: (id: Id, method: string, params: unknown) => Promise<void>;
};

/** Codes that the host itself answers with; whatever else a call rejects with comes from the module. */
const isHostError = (thrown: unknown): thrown is KernelError =>
  thrown instanceof KernelError &&
  (thrown.code === 'FUNCTION_NOT_FOUND' || thrown.code === 'MODULE_UNAVAILABLE' || thrown.code === 'STOPPING');

export const createServing = (options: {
  readonly host: ModuleHost;
  readonly calls: Calls;
  readonly lag: LoopLag;
  readonly output: Output;
  readonly send: (text: string) => void;
  readonly limits: () => WireLimits;
  readonly onLoadFailed: (thrown: unknown) => void;
}): Serving => {
  const { host, calls, output, send } = options;

  const replyText = (id: Id, resultText: string): void =>
    send(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${resultText}}`);
  const replyError = (id: Id, error: KernelError): void =>
    send(JSON.stringify({ jsonrpc: '2.0', id, error: encodeError(error) }));

  const commit = async (): Promise<unknown> => {
    try {
      return await host.commit();
    } catch (thrown) {
      const error = toKernelError(thrown, 'MODULE_LOAD_FAILED');
      // After the answer, so that the kernel learns the reason before the connection ends.
      if (error.code !== 'CONFLICT') setImmediate(options.onLoadFailed, error.cause ?? error);
      throw error;
    }
  };

  const serve = async (method: string, params: unknown): Promise<unknown> => {
    switch (method) {
      case 'assign.begin':
        return host.begin(params as AssignBeginParams);
      case 'assign.chunk':
        return host.chunk(params as AssignChunkParams);
      case 'assign.commit':
        return await commit();
      case 'ping':
        return { lagMs: await options.lag.take(), rssBytes: process.memoryUsage.rss(), inFlight: calls.inFlight() };
      case 'stop':
        return await host.stop((params as { graceMs: number }).graceMs);
      default:
        throw new KernelError('METHOD_NOT_FOUND', `the agent does not know ${JSON.stringify(method)}`);
    }
  };

  const runFunction = async (name: string, run: () => Promise<unknown>): Promise<unknown> => {
    try {
      return await run();
    } catch (thrown) {
      if (isHostError(thrown)) throw thrown;
      output.write('stderr', 'error', `${name}: ${describeThrown(thrown)}\n`);
      throw moduleError(thrown, 'MODULE_ERROR');
    }
  };

  return {
    call: (id, { function: name, params, timeoutMs }) =>
      calls.run(id, timeoutMs, async (call) => {
        try {
          const result = await runFunction(name, () => host.call(name, params, call));
          // Nobody waits any more: not even the work of encoding is worth it.
          if (call.wanted()) replyText(id, encodeValue(result, options.limits(), 'the result', 'RESULT_INVALID'));
        } catch (thrown) {
          if (call.wanted()) replyError(id, toKernelError(thrown));
        }
      }),
    request: async (id, method, params) => {
      try {
        replyText(id, JSON.stringify(await serve(method, params)));
      } catch (thrown) {
        replyError(id, toKernelError(thrown));
      }
    },
  };
};
