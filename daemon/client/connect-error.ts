import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';

const START_REMEDY = 'Start one with scripts/start (or kerneld), or name its socket with --socket PATH.';

const errnoOf = (thrown: unknown): string =>
  thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';

/**
 * Says what a failure to reach the kernel means.
 *
 * Before the connection stands: `NO_KERNEL` (no such socket, nobody listens), `DENIED` (file permissions). After
 * it: `UNAVAILABLE`, since nobody can tell whether the request was carried out.
 */
export const connectError = (thrown: unknown, socketPath: string): KernelError => {
  if (thrown instanceof KernelError) return thrown;
  const context = { socket: socketPath };
  switch (errnoOf(thrown)) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ECONNREFUSED':
    case 'ENOTSOCK':
      return new KernelError('NO_KERNEL', `no kernel answers at ${socketPath}`, {
        cause: thrown,
        context,
        remedy: START_REMEDY,
      });
    case 'EACCES':
    case 'EPERM':
      return new KernelError('DENIED', `this user may not use the socket ${socketPath}`, {
        cause: thrown,
        context,
        remedy: 'Run as the user that runs kerneld, or as a member of the group in control.group of kernel.yaml.',
      });
    case 'EAGAIN':
      return new KernelError('UNAVAILABLE', 'the kernel has too many connections waiting', {
        cause: thrown,
        context,
        retryAfterMs: 500,
      });
    case 'ECONNRESET':
    case 'EPIPE':
      return new KernelError('UNAVAILABLE', 'the kernel closed the connection before it answered', {
        cause: thrown,
        context,
      });
    default:
      return new KernelError('UNAVAILABLE', toKernelError(thrown).message, { cause: thrown, context });
  }
};
