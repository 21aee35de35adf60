/**
 * One request over `POST /rpc`: what `kernelctl` uses for everything that is a single answer, because it needs
 * neither `ws` nor zod and so starts faster. It is also the one form that `fallback/` speaks.
 */
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { OperationInput, OperationResult } from '../../Kernel/contract/operations/index.ts';
import { checkSocketPath } from '../../Kernel/contract/paths.ts';
import { connectError } from './connect-error.ts';
import { postJson, type HttpAnswer } from './http-exchange.ts';
import { cancelled, deadlineExceeded, timeoutFor, type CallOptions } from './limits.ts';
import type { UnaryName } from './operation-names.ts';
import { readErrorBody, readReply } from './reply.ts';

/**
 * Carries out one operation. Withdrawing it closes the connection, which the kernel takes for a cancellation.
 *
 * @throws KernelError `NO_KERNEL`, `DENIED`, `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `CANCELLED`, `PROTOCOL`,
 *   `SOCKET_PATH_TOO_LONG`, or what the kernel answered
 */
export const postRpc = async <N extends UnaryName>(
  socketPath: string,
  method: N,
  params: OperationInput<N>,
  options: CallOptions = {},
): Promise<OperationResult<N>> => {
  checkSocketPath(socketPath);
  const timeoutMs = timeoutFor(method, params, options);
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), timeoutMs);
  const signal = options.signal === undefined ? limit.signal : AbortSignal.any([limit.signal, options.signal]);
  try {
    const frame = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    return unwrap(await postJson(socketPath, '/rpc', frame, signal)) as OperationResult<N>;
  } catch (error) {
    if (options.signal?.aborted === true) throw cancelled(method);
    if (limit.signal.aborted) throw deadlineExceeded(method, timeoutMs);
    throw connectError(error, socketPath);
  } finally {
    clearTimeout(timer);
  }
};

/** A refusal may come with any HTTP status; what counts is the JSON-RPC reply in its body. */
const unwrap = ({ status, body }: HttpAnswer): unknown => {
  let frame: unknown;
  try {
    frame = JSON.parse(body);
  } catch (error) {
    throw notAReply(status, error);
  }
  const reply = readReply(frame);
  if (reply === null) throw readErrorBody(frame) ?? notAReply(status);
  if (!reply.outcome.ok) throw reply.outcome.error;
  return reply.outcome.result;
};

const notAReply = (status: number, cause?: unknown): KernelError =>
  status >= 500
    ? new KernelError('UNAVAILABLE', `the kernel answered with HTTP status ${status}`, { cause, context: { status } })
    : new KernelError('PROTOCOL', `the answer is not a JSON-RPC reply (HTTP status ${status})`, {
        cause,
        context: { status },
        remedy: 'Check that --socket names the operator socket of a kernel.',
      });
