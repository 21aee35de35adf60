/**
 * The gate: every request of every socket passes it (DESIGN section 10). Its pipeline is a value, the list of
 * steps; what comes after the last step is execution, bounded by a deadline and ended by cancellation.
 */
import { KernelError, toKernelError } from '../contract/errors.ts';
import type { OperationDeclaration } from '../contract/operations/define.ts';
import type { KernelEvent } from '../contract/operations/shapes.ts';
import type { Clock, Log } from '../contract/ports.ts';
import type { GateAnswer, GateRequest, Handlers, OperationContext, Step } from './call.ts';
import { createDeadlines } from './deadlines.ts';
import { guardStream } from './guarded-stream.ts';
import { RunningCall } from './running-call.ts';

/** For a call whose operation leaves the limit to its handler (`module.call`): the longest that one may ask for, and a minute. */
const LONGEST_CALL_MS = 86_400_000 + 60_000;

export type GateFigures = {
  readonly inFlight: number;
  /** Handlers that still run although their call was already answered by deadline or withdrawal. */
  readonly abandoned: number;
  readonly answered: number;
  readonly failed: number;
};

export type Gate = Disposable & {
  /** Sends a request through the gate. The answer settles once; `cancel` ends it earlier with that error. */
  readonly start: (request: GateRequest) => RunningCall;
  /**
   * As `start`, for callers that hold an AbortSignal.
   *
   * @throws KernelError with a code of the closed table, always
   */
  readonly dispatch: (request: GateRequest & { readonly signal?: AbortSignal }) => Promise<GateAnswer>;
  readonly figures: () => GateFigures;
};

export type GatePorts = {
  readonly operations: Readonly<Record<string, OperationDeclaration>>;
  readonly handlers: Handlers;
  readonly steps: readonly Step[];
  readonly clock: Clock;
  /** Told about every fault that is the kernel's own. */
  readonly events: { readonly publish: (event: Omit<KernelEvent, 'seq' | 'at'>) => unknown };
  readonly log?: Log;
};

type Handler = (params: unknown, ctx: OperationContext) => Promise<unknown> | AsyncIterable<unknown>;

export const createGate = (ports: GatePorts): Gate => {
  const handlers = registry(ports);
  const unchecked = new Set(
    Object.keys(ports.operations).filter((name) => ports.operations[name]!.result.def.type === 'unknown'),
  );
  const steps = Object.freeze([...ports.steps]);
  const deadlines = createDeadlines(ports.clock);
  const counts = { inFlight: 0, abandoned: 0, answered: 0, failed: 0 };

  const onEnd = (call: RunningCall): void => {
    counts.inFlight -= 1;
    deadlines.remove(call);
  };

  const reportFault = (call: RunningCall, error: KernelError): void => {
    if (error.code !== 'INTERNAL') return;
    ports.log?.error('an operation failed inside the kernel', { operation: call.name, error });
    ports.events.publish({
      kind: 'operationFaulted',
      severity: 'error',
      code: 'INTERNAL',
      reason: `${call.name}: ${error.message}`,
    });
  };

  const fail = (call: RunningCall, thrown: unknown): void => {
    const error = toKernelError(thrown);
    counts.failed += 1;
    reportFault(call, error);
    call.fail(error);
  };

  const checkResult = (call: RunningCall, value: unknown): unknown => {
    // Parsing also drops fields that are not declared, so that no handler widens the wire by accident.
    const parsed = call.operation!.result.safeParse(value);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0]!;
    throw new KernelError(
      'INTERNAL',
      `the result does not fit its declaration: ${issue.path.join('.')}: ${issue.message}`,
    );
  };

  const executeStream = (call: RunningCall, source: AsyncIterable<unknown>): void => {
    const stream = guardStream(source, {
      check: (item) => checkResult(call, item),
      onEnd: () => {
        counts.answered += 1;
        call.context.abort(new KernelError('CANCELLED', 'the stream ended'));
        return call.endStream();
      },
      onFailure: (error) => fail(call, error),
    });
    call.openStream(stream.items, stream.fail);
  };

  const executeUnary = (call: RunningCall, answer: Promise<unknown>): void => {
    answer.then(
      (value) => {
        if (call.ended) {
          counts.abandoned -= 1;
          return;
        }
        try {
          call.succeed(unchecked.has(call.name!) ? value : checkResult(call, value));
          counts.answered += 1;
        } catch (thrown) {
          fail(call, thrown);
        }
      },
      (thrown: unknown) => {
        if (call.ended) counts.abandoned -= 1;
        else fail(call, thrown);
      },
    );
  };

  const execute = (call: RunningCall): void => {
    const operation = call.operation!;
    const limitMs = call.request.timeoutMs ?? operation.timeoutMs;
    const boundMs = limitMs > 0 ? limitMs : operation.kind === 'stream' ? Infinity : LONGEST_CALL_MS;
    call.context.deadlineMs = ports.clock.monotonicMs() + boundMs;
    deadlines.add(call);
    const handler = handlers.get(call.name!)!;
    if (operation.kind === 'stream') {
      executeStream(call, handler(call.params, call.context) as AsyncIterable<unknown>);
      return;
    }
    call.executing = true;
    executeUnary(call, handler(call.params, call.context) as Promise<unknown>);
  };

  const continueFrom = async (call: RunningCall, index: number, entering: Promise<void>): Promise<void> => {
    try {
      let step = index;
      let pending: void | Promise<void> = entering;
      while (step < steps.length) {
        await pending;
        if (call.ended) return call.leaveLate(steps[step]!);
        call.entered = step + 1;
        step += 1;
        if (step < steps.length) pending = steps[step]!.enter(call);
      }
      execute(call);
    } catch (thrown) {
      if (!call.ended) fail(call, thrown);
    }
  };

  const start = (request: GateRequest): RunningCall => {
    const call = new RunningCall(request, steps, onEnd, () => (counts.abandoned += 1));
    counts.inFlight += 1;
    try {
      for (let i = 0; i < steps.length; i += 1) {
        const entering = steps[i]!.enter(call);
        if (entering !== undefined) {
          void continueFrom(call, i, entering);
          return call;
        }
        call.entered = i + 1;
      }
      execute(call);
    } catch (thrown) {
      fail(call, thrown);
    }
    return call;
  };

  return {
    start,
    dispatch: (request) => dispatchWithSignal(start, request),
    figures: () => ({ ...counts }),
    [Symbol.dispose]: () => deadlines[Symbol.dispose](),
  };
};

/** Own enumerable names only, so that nothing inherited is ever called; a Map cannot be changed from outside. */
const registry = (ports: GatePorts): ReadonlyMap<string, Handler> => {
  const handlers = new Map<string, Handler>();
  for (const name of Object.keys(ports.operations)) {
    const handler: unknown = Object.hasOwn(ports.handlers, name) ? ports.handlers[name as keyof Handlers] : undefined;
    if (typeof handler !== 'function') throw new KernelError('BOOT_FAILED', `no handler for the operation ${name}`);
    handlers.set(name, handler as Handler);
  }
  return handlers;
};

const dispatchWithSignal = async (
  start: (request: GateRequest) => RunningCall,
  request: GateRequest & { readonly signal?: AbortSignal },
): Promise<GateAnswer> => {
  const { signal } = request;
  if (signal === undefined) return start(request).answer;
  const withdrawn = (): KernelError => toCancelled(signal.reason);
  if (signal.aborted) throw withdrawn();
  const call = start(request);
  const onAbort = (): void => call.cancel(withdrawn());
  signal.addEventListener('abort', onAbort, { once: true });
  call.whenEnded(() => signal.removeEventListener('abort', onAbort));
  return call.answer;
};

const toCancelled = (reason: unknown): KernelError =>
  reason instanceof KernelError
    ? reason
    : new KernelError('CANCELLED', 'the caller withdrew the request', { cause: reason });
