/**
 * Messages waiting for one receiver. A receiver that is slow loses its own oldest messages and harms
 * nobody else: publishers never wait.
 */
export type DeliveryQueue<T> = {
  readonly push: (message: T) => void;
  readonly shift: () => T | undefined;
  readonly length: () => number;
  /** Messages lost so far. */
  readonly lost: () => number;
};

/** Holds at most `maxLength`, which may change; one more pushes out the oldest. */
export const createDeliveryQueue = <T>(maxLength: () => number): DeliveryQueue<T> => {
  const messages: T[] = [];
  let lost = 0;
  return {
    push: (message) => {
      messages.push(message);
      while (messages.length > maxLength()) {
        messages.shift();
        lost += 1;
      }
    },
    shift: () => messages.shift(),
    length: () => messages.length,
    lost: () => lost,
  };
};
