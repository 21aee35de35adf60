import { KernelError } from '../../contract/errors.ts';
import type { KernelMode, Step } from '../call.ts';

/**
 * In safe mode only what is declared for it passes (DESIGN section 13).
 *
 * @throws KernelError `SAFE_MODE`
 */
export const safeModeStep = (mode: () => KernelMode): Step => ({
  name: 'safe mode',
  enter: (call) => {
    if (mode() !== 'safe' || call.operation!.safeMode) return;
    throw new KernelError('SAFE_MODE', `${call.request.method} is not allowed in safe mode`, {
      remedy: 'See "kernelctl status" for the reason, then leave safe mode.',
    });
  },
});

/**
 * A kernel that stops takes no more commands; it still answers questions about how far it is.
 *
 * @throws KernelError `STOPPING`
 */
export const stoppingStep = (mode: () => KernelMode): Step => ({
  name: 'stopping',
  enter: (call) => {
    if (mode() !== 'stopping' || call.operation!.kind !== 'command') return;
    throw new KernelError('STOPPING', `the kernel is stopping and takes no ${call.request.method}`);
  },
});
