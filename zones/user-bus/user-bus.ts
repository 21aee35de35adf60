/**
 * The bus over which the modules of one zone exchange messages. One bus a zone; it knows nothing of the
 * kernel's own bus and nothing crosses from one to the other (K12).
 *
 * INVARIANTS
 * - A publisher never waits for a receiver, and no receiver for another.
 * - Memory is bounded by members x `queueLength` x `maxPayloadBytes`; payloads are shared between queues.
 * - Messages of one publisher reach one receiver in order; some may be missing, and that is counted.
 * - The rate is counted per module, not per instance: more instances do not buy more messages.
 */
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { InstanceId, ModuleName } from '../../Kernel/contract/ids.ts';
import type { Clock } from '../../Kernel/contract/ports.ts';
import type { BusDeliverParams } from '../../Kernel/contract/wire/agent.schema.ts';
import { createDeliveryQueue, type DeliveryQueue } from './delivery-queue.ts';
import { newTokenBucket, takeToken, type TokenBucket } from './token-bucket.machine.ts';
import { judgeTopic } from './topic-rules.verdict.ts';

export type UserBusLimits = {
  readonly maxPayloadBytes: number;
  readonly maxTopicBytes: number;
  /** Published messages of one module. */
  readonly messagesPerSecond: number;
  /** Topics of one instance. */
  readonly maxSubscriptions: number;
  /** Messages waiting for one instance. */
  readonly queueLength: number;
};

export type BusMember = {
  readonly instance: InstanceId;
  readonly module: ModuleName;
  /** What the manifest declares; a pattern may end in `*`. */
  readonly allow: { readonly publish: readonly string[]; readonly subscribe: readonly string[] };
  readonly deliver: (message: BusDeliverParams) => void;
  /** False while the receiver does not read: its messages wait, then the oldest are lost. */
  readonly writable: () => boolean;
};

export type BusMembership = Disposable & {
  /**
   * Hands a message to every subscriber, the publisher too if it subscribed.
   *
   * @throws KernelError `DENIED`, `INVALID_PARAMS`, `PAYLOAD_TOO_LARGE`, `QUOTA_EXCEEDED` (with `retryAfterMs`)
   */
  readonly publish: (topic: string, payload: unknown) => { readonly delivered: number };
  /** Subscribing twice is "already so". @throws KernelError `DENIED`, `INVALID_PARAMS`, `QUOTA_EXCEEDED` */
  readonly subscribe: (topic: string) => void;
  readonly unsubscribe: (topic: string) => void;
  /** Messages of this receiver that were lost because it did not read. */
  readonly lost: () => number;
  /** Ends all of it; idempotent. */
  readonly leave: () => void;
};

export type UserBus = Disposable & {
  readonly join: (member: BusMember) => BusMembership;
  readonly members: () => number;
};

/** How often receivers that did not read are tried again. */
const DRAIN_MS = 20;

type Receiver = {
  readonly member: BusMember;
  readonly topics: Set<string>;
  readonly queue: DeliveryQueue<BusDeliverParams>;
};
type Rate = { bucket: TokenBucket; members: number };

/** `limits` are asked for at each use, so that a reload of the configuration holds at once. */
export const createUserBus = (options: { readonly limits: () => UserBusLimits; readonly clock: Clock }): UserBus => {
  const { limits, clock } = options;
  const receivers = new Set<Receiver>();
  const byTopic = new Map<string, Set<Receiver>>();
  const rates = new Map<ModuleName, Rate>();
  let cancelDrain: (() => void) | undefined;

  /** Hands over what the receiver takes; true when something still waits. */
  const drain = ({ member, queue }: Receiver): boolean => {
    while (queue.length() > 0 && member.writable()) {
      const message = queue.shift();
      if (message !== undefined) member.deliver(message);
    }
    return queue.length() > 0;
  };
  const drainLater = (): void => {
    cancelDrain ??= clock.after(DRAIN_MS, () => {
      cancelDrain = undefined;
      let waiting = false;
      for (const receiver of receivers) waiting = drain(receiver) || waiting;
      if (waiting) drainLater();
    });
  };

  const check = (topic: string, member: BusMember, use: 'publish' | 'subscribe'): void => {
    const verdict = judgeTopic(topic, member.allow[use], limits().maxTopicBytes, use);
    if (!verdict.allowed) throw new KernelError(verdict.code, verdict.reason);
  };
  const spend = (module: ModuleName): void => {
    const rate = rates.get(module);
    if (rate === undefined) throw new KernelError('UNAVAILABLE', 'the instance has left the bus');
    const { messagesPerSecond } = limits();
    const { state, taken, retryAfterMs } = takeToken(rate.bucket, messagesPerSecond, clock.monotonicMs());
    rate.bucket = state;
    if (!taken) {
      throw new KernelError('QUOTA_EXCEEDED', `over ${messagesPerSecond} messages a second`, { retryAfterMs });
    }
  };
  const checkPayload = (payload: unknown): void => {
    const text = JSON.stringify(payload);
    if (text === undefined) throw new KernelError('INVALID_PARAMS', 'the payload is not JSON');
    const { maxPayloadBytes } = limits();
    if (Buffer.byteLength(text) > maxPayloadBytes) {
      throw new KernelError('PAYLOAD_TOO_LARGE', `the payload is larger than ${maxPayloadBytes} bytes`);
    }
  };

  const join = (member: BusMember): BusMembership => {
    const receiver: Receiver = { member, topics: new Set(), queue: createDeliveryQueue(() => limits().queueLength) };
    receivers.add(receiver);
    const rate = rates.get(member.module) ?? {
      bucket: newTokenBucket(limits().messagesPerSecond, clock.monotonicMs()),
      members: 0,
    };
    rate.members += 1;
    rates.set(member.module, rate);

    const unsubscribe = (topic: string): void => {
      if (!receiver.topics.delete(topic)) return;
      const subscribers = byTopic.get(topic);
      subscribers?.delete(receiver);
      if (subscribers?.size === 0) byTopic.delete(topic);
    };
    const leave = (): void => {
      if (!receivers.delete(receiver)) return;
      for (const topic of [...receiver.topics]) unsubscribe(topic);
      rate.members -= 1;
      if (rate.members === 0) rates.delete(member.module);
    };
    const publish = (topic: string, payload: unknown): { delivered: number } => {
      if (!receivers.has(receiver)) throw new KernelError('UNAVAILABLE', 'the instance has left the bus');
      // The quota first: a refused message must cost the sender as much as an accepted one.
      spend(member.module);
      check(topic, member, 'publish');
      checkPayload(payload);
      const message: BusDeliverParams = { topic, from: member.module, payload };
      const subscribers = byTopic.get(topic);
      if (subscribers === undefined) return { delivered: 0 };
      for (const subscriber of subscribers) {
        subscriber.queue.push(message);
        if (drain(subscriber)) drainLater();
      }
      return { delivered: subscribers.size };
    };
    const subscribe = (topic: string): void => {
      if (!receivers.has(receiver)) throw new KernelError('UNAVAILABLE', 'the instance has left the bus');
      check(topic, member, 'subscribe');
      if (receiver.topics.has(topic)) return;
      const { maxSubscriptions } = limits();
      if (receiver.topics.size >= maxSubscriptions) {
        throw new KernelError('QUOTA_EXCEEDED', `over ${maxSubscriptions} subscriptions`);
      }
      receiver.topics.add(topic);
      const subscribers = byTopic.get(topic) ?? new Set();
      subscribers.add(receiver);
      byTopic.set(topic, subscribers);
    };
    return { publish, subscribe, unsubscribe, lost: () => receiver.queue.lost(), leave, [Symbol.dispose]: leave };
  };

  return {
    join,
    members: () => receivers.size,
    [Symbol.dispose]: () => {
      cancelDrain?.();
      cancelDrain = undefined;
      receivers.clear();
      byTopic.clear();
      rates.clear();
    },
  };
};
