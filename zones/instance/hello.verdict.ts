/** Whether a hello fits what the kernel knows of the instance. */
import { AGENT_PROTOCOL } from '../../Kernel/contract/wire/agent.constants.ts';
import type { HelloParams } from '../../Kernel/contract/wire/agent.schema.ts';

/**
 * What an agent says of itself can only speak against it: the record decides what it is. Null: it fits.
 *
 * @param expectedDigest of the module that the record names; null: blank
 */
export const findHelloFault = (hello: HelloParams, expectedDigest: string | null): string | null => {
  if (hello.protocol !== AGENT_PROTOCOL)
    return `the agent speaks protocol ${hello.protocol}, the kernel ${AGENT_PROTOCOL}`;
  const reported = hello.assigned?.digest ?? null;
  if (reported === expectedDigest) return null;
  return `the agent says that it holds ${reported ?? 'nothing'}, the kernel's record says ${expectedDigest ?? 'nothing'}`;
};
