/** Serves what an agent asks of the kernel after its hello: the user bus, bounded in flight. */
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import { KERNEL_REQUESTS } from '../../Kernel/contract/wire/agent.schema.ts';
import { encodeError, type RequestFrame } from '../../Kernel/contract/wire/jsonrpc.schema.ts';
import type { LinkHandlers } from './link.ts';

/** Sends the outcome of a request; does nothing once the connection is gone. */
type Reply = (id: RequestFrame['id'], outcome: { readonly result: unknown } | { readonly error: unknown }) => void;

const isBusMethod = (method: string): method is 'bus.publish' | 'bus.subscribe' | 'bus.unsubscribe' =>
  method !== 'hello' && Object.hasOwn(KERNEL_REQUESTS, method);

/** The function returned never rejects: what goes wrong is told to the agent. */
export const createAgentRequests = (options: {
  readonly maxInFlight: number;
  readonly onRequest: LinkHandlers['onRequest'];
}): ((request: RequestFrame, reply: Reply) => Promise<void>) => {
  let inFlight = 0;

  const answer = async (method: string, params: unknown): Promise<unknown> => {
    if (!isBusMethod(method)) {
      throw new KernelError('METHOD_NOT_FOUND', `there is no ${JSON.stringify(method)} for an instance`);
    }
    const parsed = KERNEL_REQUESTS[method].params.safeParse(params);
    if (!parsed.success) throw new KernelError('INVALID_PARAMS', `the parameters do not fit ${method}`);
    if (inFlight >= options.maxInFlight) {
      throw new KernelError('LIMIT_EXCEEDED', `over ${options.maxInFlight} requests in flight`);
    }
    inFlight += 1;
    try {
      return await options.onRequest(method, parsed.data);
    } finally {
      inFlight -= 1;
    }
  };

  return async ({ id, method, params }, reply) => {
    try {
      reply(id, { result: (await answer(method, params)) ?? null });
    } catch (thrown) {
      reply(id, { error: encodeError(toKernelError(thrown)) });
    }
  };
};
