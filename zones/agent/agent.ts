/** Puts the parts together: connection, module, output, bus; and decides when the process ends. */
import { setTimeout as delay } from 'node:timers/promises';
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import {
  AGENT_PROTOCOL,
  CANCEL_METHOD,
  EXIT_MODULE_FAILED,
  EXIT_ORPHANED,
} from '../../Kernel/contract/wire/agent.constants.ts';
import type {
  AssignBeginParams,
  AssignChunkParams,
  BusDeliverParams,
  CallParams,
  HelloParams,
  HelloResult,
  OutputParams,
} from '../../Kernel/contract/wire/agent.schema.ts';
import { encodeError } from '../../Kernel/contract/wire/error-object.ts';
import { createBusClient } from './bus-client.ts';
import { createCalls } from './calls.ts';
import { createContextBase } from './context.ts';
import { reportFailure, silenceDescriptors } from './descriptors.ts';
import { encodeResult, type ResultLimits } from './encode-result.ts';
import { connectKernel } from './kernel-connection.ts';
import { createKernelRequests } from './kernel-requests.ts';
import { watchLoopLag } from './loop-lag.ts';
import { describeThrown, moduleError } from './module-error.ts';
import { createModuleHost } from './module-host.ts';
import type { Output } from './output.ts';

export type AgentOptions = {
  readonly socketPath: string;
  readonly moduleDirectory: string;
  /** Empty: the kernel knows by the socket which instance this is. */
  readonly instance: string;
  /** Until the kernel names its own. */
  readonly orphanTimeoutMs: number;
  readonly output: Output;
  readonly exit: (code: number) => void;
};

/** How long last output may take to leave, once the process is to end. */
const FLUSH_MS = 100;
const SIGNAL_GRACE_MS = 5000;

type Frame = {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
};

export const runAgent = (options: AgentOptions): void => {
  const { output } = options;
  const lag = watchLoopLag();
  const calls = createCalls();
  let limits: ResultLimits = { maxFrameBytes: 1024 * 1024, maxDepth: 32 };
  let orphanTimeoutMs = options.orphanTimeoutMs;
  let orphanTimer: NodeJS.Timeout | undefined;
  let open = false;
  let ending = false;

  const end = async (code: number, lastWords?: string): Promise<void> => {
    if (ending) return;
    ending = true;
    // The timer keeps the process until then, whatever else happens.
    const overMs = performance.now() + FLUSH_MS;
    if (lastWords === undefined) output.flush();
    else output.lastWords(lastWords);
    do await delay(5);
    while (kernel.bufferedBytes() > 0 && performance.now() < overMs);
    kernel.close();
    options.exit(code);
  };
  const failed = (what: string, thrown: unknown): void => void end(EXIT_MODULE_FAILED, `${what}: ${describeThrown(thrown)}`);

  const requests = createKernelRequests({ connected: () => open, send: (text) => kernel.send(text) });
  const bus = createBusClient({
    ask: requests.ask,
    onHandlerError: (topic, error) => output.write('log', 'error', `bus ${topic}: ${describeThrown(error)}\n`),
  });
  const host = createModuleHost({
    directory: options.moduleDirectory,
    createBase: (module, config) => createContextBase({ module, config, output, bus }),
    onFailed: (thrown) => failed('start() failed', thrown),
  });

  const replyText = (id: string | number, resultText: string): void =>
    kernel.send(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${resultText}}`);
  const replyError = (id: string | number, error: KernelError): void =>
    kernel.send(JSON.stringify({ jsonrpc: '2.0', id, error: encodeError(error) }));

  const runCall = (id: string | number, { function: name, params, timeoutMs }: CallParams): Promise<void> =>
    calls.run(id, timeoutMs, async (call) => {
      try {
        let result: unknown;
        try {
          result = await host.call(name, params, call);
        } catch (thrown) {
          if (thrown instanceof KernelError && thrown.cause === undefined && isHostCode(thrown)) throw thrown;
          output.write('stderr', 'error', `${name}: ${describeThrown(thrown)}\n`);
          throw moduleError(thrown, 'MODULE_ERROR');
        }
        const text = encodeResult(result, limits);
        if (call.wanted()) replyText(id, text);
      } catch (thrown) {
        if (call.wanted()) replyError(id, toKernelError(thrown));
      }
    });

  const serve = async (id: string | number, method: string, params: unknown): Promise<unknown> => {
    switch (method) {
      case 'assign.begin':
        return host.begin(params as AssignBeginParams);
      case 'assign.chunk':
        return host.chunk(params as AssignChunkParams);
      case 'assign.commit':
        try {
          return await host.commit();
        } catch (thrown) {
          const error = toKernelError(thrown, 'MODULE_LOAD_FAILED');
          // A module that could not be loaded has perhaps run in part: nothing else may run beside it.
          setImmediate(() => failed('the module could not be loaded', error.cause ?? error));
          throw error;
        }
      case 'ping':
        return { lagMs: await lag.take(), rssBytes: process.memoryUsage.rss(), inFlight: calls.inFlight() };
      case 'stop':
        return await host.stop((params as { graceMs: number }).graceMs);
      default:
        throw new KernelError('METHOD_NOT_FOUND', `the agent does not know ${JSON.stringify(method)}`);
    }
  };

  const serveRequest = async (id: string | number, method: string, params: unknown): Promise<void> => {
    try {
      const result = await serve(id, method, params);
      replyText(id, JSON.stringify(result));
    } catch (thrown) {
      replyError(id, toKernelError(thrown));
    }
  };

  const notified = (method: string, params: unknown): void => {
    if (method === CANCEL_METHOD) calls.cancel((params as { id: unknown }).id);
    else if (method === 'output.credit') output.granted((params as { bytes: number }).bytes);
    else if (method === 'bus.deliver') bus.deliver(params as BusDeliverParams);
    // Others are of a newer kernel and may be missed.
  };

  const received = (text: string): void => {
    const { id, method, params, result, error } = JSON.parse(text) as Frame;
    if (method === undefined) requests.settle(id, error === undefined ? { result } : { error });
    else if (id === undefined) notified(method, params);
    else if (method === 'call') void runCall(id, params as CallParams);
    else void serveRequest(id, method, params);
  };

  const greet = async (): Promise<void> => {
    const hello: HelloParams = {
      protocol: AGENT_PROTOCOL, instance: options.instance, assigned: host.assigned(),
      node: process.version, v8: process.versions.v8,
    };
    try {
      const answer = (await requests.ask('hello', hello)) as HelloResult;
      orphanTimeoutMs = answer.orphanTimeoutMs;
      limits = { maxFrameBytes: answer.maxFrameBytes ?? limits.maxFrameBytes, maxDepth: answer.maxDepth ?? limits.maxDepth };
      clearTimeout(orphanTimer);
      orphanTimer = undefined;
      silenceDescriptors();
      output.connected(
        (params: OutputParams) => kernel.send(JSON.stringify({ jsonrpc: '2.0', method: 'output', params })),
        answer.outputCreditBytes,
      );
      bus.restore();
    } catch (thrown) {
      reportFailure(`the kernel refused: ${toKernelError(thrown).message}`);
      kernel.drop();
    }
  };

  const awaitKernel = (): void => {
    orphanTimer ??= setTimeout(() => {
      reportFailure(`no kernel at ${options.socketPath} for ${orphanTimeoutMs} ms`);
      void end(EXIT_ORPHANED);
    }, orphanTimeoutMs);
  };

  let lastReason = '';
  awaitKernel();
  const kernel = connectKernel({
    socketPath: options.socketPath,
    onOpen: () => {
      open = true;
      void greet();
    },
    onMessage: received,
    onClosed: (reason) => {
      open = false;
      output.disconnected();
      requests.rejectAll();
      calls.cancelAll('the kernel went away');
      if (reason !== lastReason) reportFailure(reason);
      lastReason = reason;
      if (!ending) awaitKernel();
    },
  });

  process.on('uncaughtException', (thrown) => failed('uncaught error', thrown));
  process.on('unhandledRejection', (thrown) => failed('unhandled rejection', thrown));
  // PID 1 gets no default action for signals (signal(7), pid_namespaces(7)): without these it ignores them.
  const terminated = (): void => {
    host.stop(SIGNAL_GRACE_MS).then(
      () => end(0),
      (thrown: unknown) => end(0, `stop() failed: ${describeThrown(thrown)}`),
    ).catch(() => options.exit(0));
  };
  process.on('SIGTERM', terminated);
  process.on('SIGINT', terminated);
  // process.exit() by the module: what the socket takes at once still leaves.
  process.on('exit', () => output.flush());
};

/** Codes that the host itself answers with; a module that throws a KernelError of its own is no host. */
const isHostCode = ({ code }: KernelError): boolean =>
  code === 'FUNCTION_NOT_FOUND' || code === 'MODULE_UNAVAILABLE' || code === 'STOPPING';
