/** What an agent sends of its own accord: output for the log, and requests to the user bus of its zone. */
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { InstanceId, ModuleName } from '../../Kernel/contract/ids.ts';
import type { LogLine } from '../../Kernel/contract/operations/shapes.ts';
import type { OutputParams } from '../../Kernel/contract/wire/agent.schema.ts';
import type { LinkHandlers } from '../link/link.ts';
import type { BusMembership } from '../user-bus/user-bus.ts';

/** The last instant that a Date can hold (ECMA-262, time values). */
const LATEST_TIME_MS = 8.64e15;

/** Lines for the log. The time is the instance's own word: it is kept within what can be written down. */
export const linesOf = (output: OutputParams, module: ModuleName, instance: InstanceId): LogLine[] => {
  const atMs = Math.abs(output.at) <= LATEST_TIME_MS ? output.at : 0;
  const base = { at: new Date(atMs).toISOString(), module, instance };
  const line: LogLine = { ...base, stream: output.stream, level: output.level, text: output.text };
  if (output.droppedBytes === 0) return [line];
  return [
    { ...base, stream: 'kernel', level: 'warn', text: `${output.droppedBytes} bytes of output were dropped` },
    line,
  ];
};

type BusMethod = Parameters<LinkHandlers['onRequest']>[0];

/** @throws KernelError `UNAVAILABLE` before the instance has joined, or what the bus refuses with */
export const answerBusRequest = (membership: BusMembership | null, method: BusMethod, params: unknown): unknown => {
  if (membership === null)
    throw new KernelError('UNAVAILABLE', 'the instance has not joined the bus yet', { retryAfterMs: 50 });
  const { topic, payload } = params as { topic: string; payload?: unknown };
  switch (method) {
    case 'bus.publish':
      return membership.publish(topic, payload);
    case 'bus.subscribe':
      membership.subscribe(topic);
      return null;
    case 'bus.unsubscribe':
      membership.unsubscribe(topic);
      return null;
  }
};
