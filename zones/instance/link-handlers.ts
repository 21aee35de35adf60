/** What the link of an instance tells, turned into events of its machine. */
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { InstanceId } from '../../Kernel/contract/ids.ts';
import { AGENT_PROTOCOL, INITIAL_OUTPUT_CREDIT_BYTES } from '../../Kernel/contract/wire/agent.constants.ts';
import type { HelloParams, HelloResult } from '../../Kernel/contract/wire/agent.schema.ts';
import type { InstanceLink, LinkHandlers } from '../link/link.ts';
import { linesOf } from './agent-frames.ts';
import { findHelloFault } from './hello.verdict.ts';
import type { InstanceEvent } from './instance.machine.ts';
import type { Assignment, InstancePorts } from './instance.ports.ts';
import type { Serving } from './serving.ts';

export type LinkHandlerPorts = {
  readonly ports: InstancePorts;
  readonly id: InstanceId;
  readonly assignment: Assignment;
  /** It ran before this kernel did, and its record names the module that it holds. */
  readonly adopted: boolean;
  readonly serving: Serving;
  readonly link: () => InstanceLink | null;
  readonly send: (event: InstanceEvent) => void;
  readonly checkExit: () => void;
};

export const createLinkHandlers = (options: LinkHandlerPorts): LinkHandlers => {
  const { ports, id, assignment, adopted, serving, send } = options;

  const acceptHello = (hello: HelloParams): HelloResult => {
    const fault = findHelloFault(hello, adopted ? assignment.digest : null);
    if (fault !== null) {
      send({ kind: 'violated', detail: fault });
      throw new KernelError('PROTOCOL', fault);
    }
    // An adopted module subscribes again right after its hello: it must find the bus joined.
    const link = options.link();
    if (adopted && link !== null) serving.joinBus(link);
    // After this frame: the reply must reach the agent before the first request does.
    setImmediate(() => send({ kind: 'helloAccepted' }));
    const { orphanTimeoutMs } = ports.settings();
    return { protocol: AGENT_PROTOCOL, orphanTimeoutMs, outputCreditBytes: INITIAL_OUTPUT_CREDIT_BYTES };
  };

  return {
    onHello: acceptHello,
    onDisconnect: () => {
      send({ kind: 'connectionLost' });
      options.checkExit();
    },
    onViolation: (error) => send({ kind: 'violated', detail: `${error.code}: ${error.message}` }),
    onOutput: (output) => {
      for (const line of linesOf(output, assignment.module, id)) ports.appendOutput(line);
    },
    onRequest: (method, params) => serving.answerBus(method, params),
  };
};
