/**
 * INVARIANTS of one call
 * - It is answered exactly once: by its handler, by its deadline, by the caller's withdrawal or by a step.
 * - Whatever comes after the answer is dropped; a late result never reaches a caller.
 * - Every step that was entered is left, once, when the call ends. For a stream that is when the stream ends.
 */
import { KernelError, toKernelError } from '../contract/errors.ts';
import type { OperationDeclaration } from '../contract/operations/define.ts';
import type { OperationName } from '../contract/operations/index.ts';
import type { CallOutcome, GateAnswer, GateRequest, OperationContext, PendingCall, Principal, Step } from './call.ts';
import type { Limited } from './deadlines.ts';

/** What handlers get. The AbortController is made when the signal is first asked for: most calls never do. */
class CallContext implements OperationContext {
  readonly principal: Principal;
  deadlineMs = Infinity;
  #controller: AbortController | null = null;
  #abortedBy: KernelError | null = null;

  constructor(principal: Principal) {
    this.principal = principal;
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#abortedBy !== null) this.#controller.abort(this.#abortedBy);
    }
    return this.#controller.signal;
  }

  abort(error: KernelError): void {
    this.#abortedBy ??= error;
    this.#controller?.abort(error);
  }
}

/** One call on its way through the gate. */
export class RunningCall implements PendingCall, Limited {
  readonly request: GateRequest;
  readonly context: CallContext;
  operation: OperationDeclaration | null = null;
  name: OperationName | null = null;
  params: unknown = undefined;
  /** Settles once. A caller that only wants to cancel need not look at it. */
  readonly answer: Promise<GateAnswer>;
  ended = false;
  /** Steps whose `enter` passed. */
  entered = 0;
  /** A handler that answers with a promise was started. */
  executing = false;
  readonly #steps: readonly Step[];
  readonly #onEnd: (call: RunningCall) => void;
  readonly #onAbandon: () => void;
  #whenEnded: (() => void) | null = null;
  #resolve!: (answer: GateAnswer) => void;
  #reject!: (error: KernelError) => void;
  #onStreamError: ((error: KernelError) => void) | null = null;

  constructor(request: GateRequest, steps: readonly Step[], onEnd: (call: RunningCall) => void, onAbandon: () => void) {
    this.request = request;
    this.context = new CallContext(request.principal);
    this.#steps = steps;
    this.#onEnd = onEnd;
    this.#onAbandon = onAbandon;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get deadlineMs(): number {
    return this.context.deadlineMs;
  }

  onDeadline(): void {
    this.cancel(new KernelError('DEADLINE_EXCEEDED', `${this.name} gave no answer within its time limit`));
  }

  /** Calls `fn` when the call has ended; one listener, which suffices. */
  whenEnded(fn: () => void): void {
    if (this.ended) fn();
    else this.#whenEnded = fn;
  }

  /** Answers with a value and ends the call. */
  succeed(value: unknown): void {
    const failure = this.#end({ ok: true });
    if (failure === undefined) this.#resolve({ kind: 'result', value });
    else this.#reject(failure);
  }

  /** Answers with a stream; the call stays in flight until the stream ends. */
  openStream(items: AsyncIterableIterator<unknown>, onError: (error: KernelError) => void): void {
    this.#onStreamError = onError;
    this.#resolve({ kind: 'stream', items });
  }

  /** Ends an opened stream that came to its end or was given up by its reader. */
  endStream(): KernelError | undefined {
    return this.#end({ ok: true });
  }

  fail(error: KernelError): void {
    if (this.ended) return;
    this.#end({ ok: false, error });
    if (this.#onStreamError === null) this.#reject(error);
    else this.#onStreamError(error);
  }

  /** Withdraws the call: its signal is aborted and its caller gets this error, whatever the handler does. */
  cancel(error: KernelError): void {
    if (this.ended) return;
    if (this.executing) this.#onAbandon();
    this.context.abort(error);
    this.fail(error);
  }

  /** Leaves one step that passed only after the call had ended. */
  leaveLate(step: Step): void {
    this.#leave(step, { ok: false, error: toKernelError(this.context.signal.reason ?? 'ended', 'CANCELLED') });
  }

  #end(outcome: CallOutcome): KernelError | undefined {
    if (this.ended) return undefined;
    this.ended = true;
    let current = outcome;
    for (let i = this.entered - 1; i >= 0; i -= 1) {
      const failure = this.#leave(this.#steps[i]!, current);
      if (failure !== undefined && current.ok) current = { ok: false, error: failure };
    }
    this.#onEnd(this);
    this.#whenEnded?.();
    return current.ok || !outcome.ok ? undefined : current.error;
  }

  #leave(step: Step, outcome: CallOutcome): KernelError | undefined {
    if (step.leave === undefined) return undefined;
    try {
      step.leave(this, outcome);
      return undefined;
    } catch (thrown) {
      // The steps below must be left all the same, or their counts would stay up for ever.
      return toKernelError(thrown);
    }
  }
}
