import { toKernelError, type KernelError } from '../contract/errors.ts';

type StreamEnds = {
  /** Checks one item and gives what is sent; throws when it does not fit. */
  readonly check: (item: unknown) => unknown;
  /** Called once when the stream ended by itself or its reader gave it up; an error returned ends it in that error. */
  readonly onEnd: () => KernelError | undefined;
  readonly onFailure: (error: KernelError) => void;
};

/**
 * A handler's stream as its reader gets it: items checked, and ended by `fail` even while the handler waits and
 * ignores its signal. A race against one long-lived promise would add a reaction to that promise for each
 * item, so the waiting reader is kept in a field instead.
 */
export const guardStream = (
  source: AsyncIterable<unknown>,
  ends: StreamEnds,
): { readonly items: AsyncIterableIterator<unknown>; readonly fail: (error: KernelError) => void } => {
  const inner = source[Symbol.asyncIterator]();
  let failure: KernelError | null = null;
  let done = false;
  let rejectPending: ((error: KernelError) => void) | null = null;

  const closeInner = (): void => {
    // Not awaited: a generator that ignores its signal would hold up the caller. Its error has no reader left.
    void Promise.resolve(inner.return?.()).catch(() => undefined);
  };
  const finish = (): { done: true; value: undefined } => {
    done = true;
    return { done: true, value: undefined };
  };

  const next = async (): Promise<IteratorResult<unknown>> => {
    if (failure !== null && !done) {
      finish();
      throw failure;
    }
    if (done) return finish();
    const result = await new Promise<IteratorResult<unknown>>((resolve, reject) => {
      rejectPending = reject;
      inner.next().then(resolve, reject);
    }).catch((thrown: unknown) => {
      done = true;
      const error = toKernelError(thrown);
      if (failure === null) ends.onFailure(error);
      throw error;
    });
    rejectPending = null;
    if (result.done === true) {
      finish();
      const refused = ends.onEnd();
      if (refused !== undefined) throw refused;
      return { done: true, value: undefined };
    }
    try {
      return { done: false, value: ends.check(result.value) };
    } catch (thrown) {
      done = true;
      const error = toKernelError(thrown);
      closeInner();
      ends.onFailure(error);
      throw error;
    }
  };

  return {
    items: {
      next,
      return: () => {
        if (!done) {
          finish();
          closeInner();
          ends.onEnd();
        }
        return Promise.resolve({ done: true, value: undefined });
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    },
    fail: (error) => {
      if (done || failure !== null) return;
      failure = error;
      closeInner();
      rejectPending?.(error);
    },
  };
};
