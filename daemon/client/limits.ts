import { KernelError } from '../../Kernel/contract/errors.ts';

/** A request's time limit and withdrawal, as the caller gives them. */
export type CallOptions = {
  /** Counted by the client; on expiry the kernel is told to stop. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
};

/**
 * Time limit when the caller names none. The kernel enforces the limit that each operation declares; this one
 * lies above them all and only ends waiting for a kernel that hangs.
 */
export const DEFAULT_TIMEOUT_MS = 70_000;
/** What the kernel gets to report its own expired limit before the client gives up. */
export const GRACE_MS = 2_000;
/** The longest `timeoutMs` of a call, used when the function's own limit, unknown here, decides. */
const LONGEST_CALL_MS = 86_400_000;

/** The client's limit for a request. */
export const timeoutFor = (method: string, params: unknown, options: CallOptions): number => {
  if (options.timeoutMs !== undefined) return options.timeoutMs;
  if (method !== 'module.call') return DEFAULT_TIMEOUT_MS;
  const asked = (params as { readonly timeoutMs?: unknown } | null)?.timeoutMs;
  return (typeof asked === 'number' ? asked : LONGEST_CALL_MS) + GRACE_MS;
};

export const deadlineExceeded = (method: string, timeoutMs: number): KernelError =>
  new KernelError('DEADLINE_EXCEEDED', `${method} was not answered within ${timeoutMs} ms`, {
    context: { method, timeoutMs },
  });

export const cancelled = (method: string): KernelError =>
  new KernelError('CANCELLED', `${method} was cancelled`, { context: { method } });
