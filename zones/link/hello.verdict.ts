/** Judges the first message of a connection. */
import { KernelError } from '../../Kernel/contract/errors.ts';
import { AGENT_PROTOCOL } from '../../Kernel/contract/wire/agent.constants.ts';
import { helloParamsSchema, type HelloParams } from '../../Kernel/contract/wire/agent.schema.ts';

/** The peer spoke before it said who it is. */
export const notHello = (): KernelError =>
  new KernelError('PROTOCOL', 'the first message of the instance is not a valid hello');

/** The hello, or the breach that it is. Who the instance is, the socket decides; a contradiction is a lie. */
export const judgeHello = (method: string, params: unknown, instance: string): HelloParams | KernelError => {
  const hello = helloParamsSchema.safeParse(params);
  if (method !== 'hello' || !hello.success) return notHello();
  const { protocol, instance: claimed } = hello.data;
  if (protocol !== AGENT_PROTOCOL) {
    return new KernelError('PROTOCOL', `the agent speaks protocol ${protocol}, not ${AGENT_PROTOCOL}`);
  }
  // An empty name is usual: an agent need not know which instance it is.
  if (claimed !== '' && claimed !== instance) {
    return new KernelError('PROTOCOL', 'the instance says that it is another one');
  }
  return hello.data;
};
