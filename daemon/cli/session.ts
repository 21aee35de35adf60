/** What a command works with: where the kernel is, how to answer, and when to stop. */
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { OperationInput, OperationResult } from '../../Kernel/contract/operations/index.ts';
import type { CallOptions } from '../client/limits.ts';
import type { KernelClient } from '../client/connect.ts';
import type { StreamName, UnaryName } from '../client/operation-names.ts';
import type { Io } from './io.ts';
import { jsonLine, type Output } from './output.ts';
import type { Style } from './render/style.ts';

export type Session = {
  readonly io: Io;
  readonly json: boolean;
  readonly style: Style;
  readonly out: Output;
  /** Says something to the person, not to a program: on stderr, and only when that is a terminal. */
  readonly progress: (text: string) => Promise<void>;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  readonly socketPath: () => string;
};

/** Runs a command and gives the exit status. */
export type Run = (session: Session) => Promise<number>;

/** One request over `POST /rpc`. */
export const ask = async <N extends UnaryName>(
  session: Session,
  name: N,
  params: OperationInput<N>,
  options: Omit<CallOptions, 'signal'> = {},
): Promise<OperationResult<N>> => {
  const { postRpc } = await import('../client/post-rpc.ts');
  return postRpc(session.socketPath(), name, params, { ...options, signal: session.signal });
};

/** A connection for what needs more than one request. */
export const openClient = async (session: Session): Promise<KernelClient> => {
  const { connect } = await import('../client/connect.ts');
  return connect({ socketPath: session.socketPath() });
};

/** Prints one value: as JSON when asked for, else as lines. */
export const present = <T>(session: Session, value: T, render: (value: T, style: Style) => string[]): Promise<void> =>
  session.json ? session.out.write(`${jsonLine(value)}\n`) : session.out.lines(render(value, session.style));

/**
 * A follower ends with its kernel, whichever way that ends: with a word of its own (`STOPPING`), or with a
 * connection that breaks. An `UNAVAILABLE` that the kernel itself answers names no socket.
 */
const kernelGone = (error: unknown): KernelError | null => {
  if (!(error instanceof KernelError)) return null;
  if (error.code === 'STOPPING') return new KernelError('NO_KERNEL', 'the kernel stopped', { cause: error });
  if (error.code !== 'UNAVAILABLE' || !('socket' in error.context)) return null;
  return new KernelError('NO_KERNEL', 'the kernel went away', { cause: error, context: error.context });
};

/**
 * Prints the items of a stream as they come. With `--json` they are one array, or one document a line when
 * following. Interrupting a stream that is followed is its normal end.
 *
 * @throws KernelError `NO_KERNEL` when the kernel ends while it is followed
 */
export const presentStream = async <N extends StreamName>(
  session: Session,
  name: N,
  params: OperationInput<N> & { readonly follow: boolean },
  render: (item: OperationResult<N>) => string[],
): Promise<number> => {
  const collected: unknown[] = [];
  try {
    await using client = await openClient(session);
    for await (const item of client.stream(name, params, { signal: session.signal })) {
      if (!session.json) await session.out.lines(render(item));
      else if (params.follow) await session.out.write(`${jsonLine(item)}\n`);
      else collected.push(item);
    }
  } catch (error) {
    if (!params.follow) throw error;
    if (!session.signal.aborted) throw kernelGone(error) ?? error;
  }
  if (session.json && !params.follow) await session.out.write(`${jsonLine(collected)}\n`);
  return 0;
};
