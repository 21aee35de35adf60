import type { Step } from '../call.ts';
import { methodNotFound } from './resolve.step.ts';

/**
 * Authorises by the door: which socket was used decides what exists. Runs before the parameters are parsed,
 * so that a caller at the wrong door learns nothing about them.
 *
 * @throws KernelError `METHOD_NOT_FOUND`
 */
export const socketStep = (): Step => ({
  name: 'socket',
  enter: (call) => {
    if (!call.operation?.sockets.includes(call.request.socket)) throw methodNotFound(call.request.method);
  },
});
