/** The module's side of its zone's user bus. */
import { KernelError } from '../../Kernel/contract/errors.ts';
import { TOPIC_PATTERN } from '../../Kernel/contract/wire/agent.constants.ts';
import type { BusDeliverParams } from '../../Kernel/contract/wire/agent.schema.ts';

export type BusMessage = { readonly topic: string; readonly from: string };
export type BusHandler = (payload: unknown, message: BusMessage) => unknown;
/** Asks the kernel; rejects with KernelError. */
export type AskKernel = (method: string, params: unknown) => Promise<unknown>;

export type BusClient = {
  readonly forModule: {
    /** Resolves with how many subscribers it was handed to. */
    readonly publish: (topic: string, payload: unknown) => Promise<{ delivered: number }>;
    /** Resolves when the kernel has taken the subscription; the function returned ends it. */
    readonly subscribe: (topic: string, handler: BusHandler) => Promise<() => Promise<void>>;
  };
  readonly deliver: (message: BusDeliverParams) => void;
  /** A new connection: the kernel, perhaps a new one, is told the subscriptions again. */
  readonly restore: () => void;
};

const checkTopic = (topic: unknown): string => {
  if (typeof topic !== 'string' || !TOPIC_PATTERN.test(topic)) {
    throw new KernelError(
      'INVALID_PARAMS',
      'a topic is 1 to 128 of a-z 0-9 . _ - and starts and ends with a letter or digit',
    );
  }
  return topic;
};

/**
 * Lets a caller ignore the outcome: a message that nobody awaits must not end the module as an unhandled
 * rejection, just because the kernel was being restarted. Who awaits it still gets the error.
 */
const forgettable = <T>(promise: Promise<T>): Promise<T> => {
  promise.catch(() => {
    // Told to whoever awaits the promise itself.
  });
  return promise;
};

export const createBusClient = (options: {
  readonly ask: AskKernel;
  readonly onHandlerError: (topic: string, error: unknown) => void;
}): BusClient => {
  const handlers = new Map<string, Set<{ readonly handler: BusHandler }>>();

  const subscribe = async (topic: string, handler: BusHandler): Promise<() => Promise<void>> => {
    checkTopic(topic);
    if (typeof handler !== 'function') throw new KernelError('INVALID_PARAMS', 'the handler is not a function');
    // Wrapped, so that one function subscribed twice is two subscriptions.
    const entry = { handler };
    const others = handlers.get(topic);
    if (others !== undefined) {
      others.add(entry);
    } else {
      const first = new Set([entry]);
      handlers.set(topic, first);
      try {
        await options.ask('bus.subscribe', { topic });
      } catch (error) {
        if (handlers.get(topic) === first) handlers.delete(topic);
        throw error;
      }
    }
    return async () => {
      const present = handlers.get(topic);
      if (present?.delete(entry) !== true || present.size > 0) return;
      handlers.delete(topic);
      await options.ask('bus.unsubscribe', { topic });
    };
  };

  const run = async (topic: string, handler: BusHandler, payload: unknown, message: BusMessage): Promise<void> => {
    try {
      await handler(payload, message);
    } catch (error) {
      options.onHandlerError(topic, error);
    }
  };

  const publish = async (topic: string, payload: unknown): Promise<{ delivered: number }> =>
    (await options.ask('bus.publish', { topic: checkTopic(topic), payload: payload ?? null })) as { delivered: number };

  return {
    forModule: {
      publish: (topic, payload) => forgettable(publish(topic, payload)),
      subscribe: (topic, handler) => forgettable(subscribe(topic, handler)),
    },
    deliver: ({ topic, from, payload }) => {
      const message = Object.freeze({ topic, from });
      for (const { handler } of [...(handlers.get(topic) ?? [])]) void run(topic, handler, payload, message);
    },
    restore: () => {
      for (const topic of handlers.keys()) {
        options.ask('bus.subscribe', { topic }).catch((error: unknown) => options.onHandlerError(topic, error));
      }
    },
  };
};
