/** Puts the parts together: connection, module, output, bus; and decides when the process ends. */
import { setTimeout as delay } from 'node:timers/promises';
import { toKernelError } from '../../Kernel/contract/errors.ts';
import {
  AGENT_PROTOCOL,
  CANCEL_METHOD,
  EXIT_MODULE_FAILED,
  EXIT_ORPHANED,
  TIMER_MAX_MS,
} from '../../Kernel/contract/wire/agent.constants.ts';
import type {
  BusDeliverParams,
  CallParams,
  HelloParams,
  HelloResult,
  OutputParams,
} from '../../Kernel/contract/wire/agent.schema.ts';
import { createBusClient } from './bus-client.ts';
import { createCalls } from './calls.ts';
import { createContextBase } from './context.ts';
import { reportFailure, silenceDescriptors } from './descriptors.ts';
import type { WireLimits } from './encode-value.ts';
import { connectKernel } from './kernel-connection.ts';
import { createKernelRequests } from './kernel-requests.ts';
import { watchLoopLag } from './loop-lag.ts';
import { describeThrown } from './module-error.ts';
import { createModuleHost } from './module-host.ts';
import type { Output } from './output.ts';
import { createServing } from './serving.ts';

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

/** Until the kernel names its own: careful ones. */
const INITIAL_LIMITS: WireLimits = {
  maxFrameBytes: 256 * 1024,
  maxDepth: 32,
  framesPerSecond: 100,
  bytesPerSecond: 1024 * 1024,
};

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
  let limits = INITIAL_LIMITS;
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
  const failed = (what: string, thrown: unknown): void =>
    void end(EXIT_MODULE_FAILED, `${what}: ${describeThrown(thrown)}`);

  const requests = createKernelRequests({
    connected: () => open,
    limits: () => limits,
    send: (text) => kernel.send(text),
  });
  const bus = createBusClient({
    ask: requests.ask,
    onHandlerError: (topic, error) => output.write('log', 'error', `bus ${topic}: ${describeThrown(error)}\n`),
  });
  const host = createModuleHost({
    directory: options.moduleDirectory,
    createBase: (module, config) => createContextBase({ module, config, output, bus }),
    onFailed: (thrown) => failed('start() failed', thrown),
  });

  const serving = createServing({
    host,
    calls,
    lag,
    output,
    send: (text) => kernel.send(text),
    limits: () => limits,
    // A module that could not be loaded has perhaps run in part: nothing else may run beside it.
    onLoadFailed: (thrown) => failed('the module could not be loaded', thrown),
  });

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
    else if (method === 'call') void serving.call(id, params as CallParams);
    else void serving.request(id, method, params);
  };

  const greet = async (): Promise<void> => {
    const hello: HelloParams = {
      protocol: AGENT_PROTOCOL,
      instance: options.instance,
      assigned: host.assigned(),
      node: process.version,
      v8: process.versions.v8,
    };
    try {
      const answer = (await requests.ask('hello', hello)) as HelloResult;
      orphanTimeoutMs = Math.min(answer.orphanTimeoutMs, TIMER_MAX_MS);
      limits = {
        maxFrameBytes: answer.maxFrameBytes ?? limits.maxFrameBytes,
        maxDepth: answer.maxDepth ?? limits.maxDepth,
        framesPerSecond: answer.framesPerSecond ?? limits.framesPerSecond,
        bytesPerSecond: answer.bytesPerSecond ?? limits.bytesPerSecond,
      };
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

  // Node would print warnings to descriptor 2 only, where nobody reads them any more.
  process.on('warning', (warning) => output.write('stderr', 'warn', `${warning.name}: ${warning.message}\n`));
  process.on('uncaughtException', (thrown) => failed('uncaught error', thrown));
  process.on('unhandledRejection', (thrown) => failed('unhandled rejection', thrown));
  // PID 1 gets no default action for signals (signal(7), pid_namespaces(7)): without these it ignores them.
  const terminated = (): void => {
    host
      .stop(SIGNAL_GRACE_MS)
      .then(
        () => end(0),
        (thrown: unknown) => end(0, `stop() failed: ${describeThrown(thrown)}`),
      )
      .catch(() => options.exit(0));
  };
  process.on('SIGTERM', terminated);
  process.on('SIGINT', terminated);
  // process.exit() by the module: what the socket takes at once still leaves.
  process.on('exit', () => {
    output.flush();
    kernel.flush();
  });
};
