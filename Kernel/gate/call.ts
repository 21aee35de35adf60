/** What passes through the gate: a request, what the steps know about it, and what handlers get. */
import type { KernelError } from '../contract/errors.ts';
import type { OperationDeclaration, SocketKind } from '../contract/operations/define.ts';
import type {
  OperationName,
  OperationParams,
  OperationResult,
  StreamName,
  UnaryName,
} from '../contract/operations/index.ts';
import type { KERNEL_MODES } from '../contract/operations/shapes.ts';

/** The modes of the kernel, as `status` names them. */
export type KernelMode = (typeof KERNEL_MODES)[number];

/** Who asks. The name comes from the socket that was used, never from the request. */
export type Principal = { readonly kind: SocketKind; readonly name: string };

/** What a handler knows about the call it serves. */
export type OperationContext = {
  readonly principal: Principal;
  /** Aborted when the caller withdraws, disconnects, or the time limit passes; its reason is a KernelError. */
  readonly signal: AbortSignal;
  /** On the monotonic clock; Infinity for a stream that lasts until it is cancelled. */
  readonly deadlineMs: number;
};

type UnaryHandlers = {
  readonly [N in UnaryName]: (params: OperationParams<N>, ctx: OperationContext) => Promise<OperationResult<N>>;
};
type StreamHandlers = {
  readonly [N in StreamName]: (params: OperationParams<N>, ctx: OperationContext) => AsyncIterable<OperationResult<N>>;
};
/** One handler for each declared operation: one that is missing does not compile. */
export type Handlers = UnaryHandlers & StreamHandlers;

/** Counts the calls of one connection, so that the limit step can bound them. One object a connection. */
export type ConnectionCount = { inFlight: number };

/** One request as a socket hands it in. Nothing in `method` or `params` is trusted. */
export type GateRequest = {
  readonly method: string;
  readonly params: unknown;
  readonly principal: Principal;
  readonly socket: SocketKind;
  readonly connection?: ConnectionCount;
  /** Takes the place of the operation's own time limit. */
  readonly timeoutMs?: number;
};

/** What the steps see. The fields that are null are filled in by the step named. */
export type PendingCall = {
  readonly request: GateRequest;
  /** By `resolve`. */
  operation: OperationDeclaration | null;
  name: OperationName | null;
  /** By `parse`: parsed, defaults filled in. */
  params: unknown;
};

export type CallOutcome = { readonly ok: true } | { readonly ok: false; readonly error: KernelError };

/**
 * One stage of the gate. `enter` refuses by throwing a KernelError; it returns a promise only when it must
 * wait, since a promise costs the hot path a turn. `leave` runs once the call has ended, in reverse order and
 * only for steps whose `enter` passed; what it throws becomes the outcome of a call that had succeeded.
 */
export type Step = {
  readonly name: string;
  readonly enter: (call: PendingCall) => void | Promise<void>;
  readonly leave?: (call: PendingCall, outcome: CallOutcome) => void;
};

/** Answer of the gate: one value, or items until the stream ends. */
export type GateAnswer =
  | { readonly kind: 'result'; readonly value: unknown }
  | { readonly kind: 'stream'; readonly items: AsyncIterableIterator<unknown> };
