/**
 * The kernel's end of the socket of one instance: what the instance runner sees of it.
 *
 * The link owns the listener (`<directory>/agent.sock`, mode 0666, unlinked and made anew when it opens),
 * accepts one connection at a time (the listener closes on accept and opens again after a disconnect),
 * enforces the budgets of `wire.agent` and turns everything hostile into one `onViolation`.
 */
import type { KernelError } from '../../Kernel/contract/errors.ts';
import type { InstanceId } from '../../Kernel/contract/ids.ts';
import type { HelloParams, HelloResult, OutputParams } from '../../Kernel/contract/wire/agent.schema.ts';

export type LinkLimits = {
  readonly maxFrameBytes: number;
  readonly maxDepth: number;
  readonly framesPerSecond: number;
  readonly bytesPerSecond: number;
  readonly maxInFlight: number;
};

export type LinkHandlers = {
  /** The agent said hello; the value returned is the reply. Throwing ends the connection. */
  readonly onHello: (hello: HelloParams) => HelloResult;
  /** The connection ended; every request in flight was already rejected with `INSTANCE_LOST`. */
  readonly onDisconnect: () => void;
  /**
   * The peer broke the protocol or stays over budget: the caller kills the instance. Told once; the link
   * has then dropped the connection and accepts no other.
   */
  readonly onViolation: (error: KernelError) => void;
  readonly onOutput: (output: OutputParams) => void;
  /** A request of the agent (all but `hello`), already validated; may throw KernelError. */
  readonly onRequest: (method: 'bus.publish' | 'bus.subscribe' | 'bus.unsubscribe', params: unknown) => unknown;
};

export type RequestOptions = { readonly timeoutMs: number; readonly signal?: AbortSignal };

export type InstanceLink = AsyncDisposable & {
  readonly instance: InstanceId;
  readonly connected: () => boolean;
  /**
   * Sends a request and resolves with its result as the agent gave it (schema-checked except for `call`).
   *
   * @throws KernelError `INSTANCE_LOST` (no or lost connection), `DEADLINE_EXCEEDED`, `CANCELLED` (both send
   *   `$/cancel`), `LIMIT_EXCEEDED` (too many in flight), `PROTOCOL` (unusable result), or what the agent answered
   */
  readonly request: (method: string, params: unknown, options: RequestOptions) => Promise<unknown>;
  /** Sends a notification; dropped when there is no connection or the peer does not read. */
  readonly notify: (method: string, params: unknown) => void;
  /** False while there is no connection or the peer does not read: what is sent now would be dropped. */
  readonly writable: () => boolean;
  /** Requests in flight. */
  readonly inFlight: () => number;
  /** Closes the connection and the listener and removes the socket file. */
  readonly close: () => Promise<void>;
};

export type OpenLink = (options: {
  readonly instance: InstanceId;
  readonly directory: string;
  readonly limits: LinkLimits;
  readonly handlers: LinkHandlers;
}) => Promise<InstanceLink>;
