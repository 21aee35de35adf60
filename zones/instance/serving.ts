/** What a connected instance does for others: answers calls, takes part in the user bus, proves that it is alive. */
import { toKernelError } from '../../Kernel/contract/errors.ts';
import type { InstanceId } from '../../Kernel/contract/ids.ts';
import type { InstanceLink, LinkHandlers } from '../link/link.ts';
import type { BusMembership } from '../user-bus/user-bus.ts';
import { answerBusRequest } from './agent-frames.ts';
import { startHealthCheck } from './health.ts';
import { isSilent, startHeartbeat } from './heartbeat.ts';
import type { Assignment, InstancePorts } from './instance.ports.ts';

export type Serving = {
  /** Joins once; a module may subscribe as soon as it is imported. */
  readonly joinBus: (link: InstanceLink) => void;
  /** @throws KernelError what the bus refuses with */
  readonly answerBus: LinkHandlers['onRequest'];
  /** Begins to ask for signs of life, and for health where the manifest names a function for it. */
  readonly watch: (link: InstanceLink) => void;
  readonly call: (
    link: InstanceLink,
    name: string,
    params: unknown,
    limits: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ) => Promise<unknown>;
  /** Leaves the bus and asks no more. Calls in flight end with the link. */
  readonly stop: () => void;
};

export const createServing = (options: {
  readonly ports: InstancePorts;
  readonly instance: InstanceId;
  readonly assignment: Assignment;
  readonly ended: AbortSignal;
  /** It did not answer a ping: of the heartbeat, or after a call that passed its deadline. */
  readonly onSilent: (cause: 'deadline' | 'unresponsive' | 'unhealthy', detail: string) => void;
}): Serving => {
  const { ports, instance, assignment, ended, onSilent } = options;
  let membership: BusMembership | null = null;
  let heartbeat: Disposable | null = null;
  let health: Disposable | null = null;
  let asking = false;

  /** A late call proves nothing: the loop may turn while the function waits. One question at a time. */
  const askAlive = async (link: InstanceLink): Promise<void> => {
    if (asking) return;
    asking = true;
    const { limitMs } = ports.settings().heartbeat;
    try {
      if (await isSilent(link, ports.clock, limitMs, ended)) {
        onSilent('deadline', `a call passed its deadline and a ping got no answer within ${limitMs} ms`);
      }
    } finally {
      asking = false;
    }
  };

  const call: Serving['call'] = async (link, name, params, { timeoutMs, signal }) => {
    try {
      return await link.request('call', { function: name, params, timeoutMs }, { timeoutMs, signal });
    } catch (thrown) {
      if (toKernelError(thrown).code === 'DEADLINE_EXCEEDED') void askAlive(link);
      throw thrown;
    }
  };

  return {
    joinBus: (link) => {
      membership ??= ports.busOf(assignment.zone).join({
        instance,
        module: assignment.module,
        allow: assignment.bus,
        deliver: (message) => link.notify('bus.deliver', message),
        writable: link.writable,
      });
    },
    answerBus: (method, params) => answerBusRequest(membership, method, params),
    watch: (link) => {
      heartbeat ??= startHeartbeat({
        link,
        clock: ports.clock,
        settings: () => ports.settings().heartbeat,
        onMissed: (detail) => onSilent('unresponsive', detail),
      });
      if (assignment.health === null) return;
      health ??= startHealthCheck({
        check: assignment.health,
        clock: ports.clock,
        call: (name, limits) => call(link, name, {}, limits),
        onUnhealthy: (detail) => onSilent('unhealthy', detail),
      });
    },
    call,
    stop: () => {
      heartbeat?.[Symbol.dispose]();
      heartbeat = null;
      health?.[Symbol.dispose]();
      health = null;
      membership?.leave();
      membership = null;
    },
  };
};
