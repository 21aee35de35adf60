/**
 * Whether a runtime other than runc does what instances stand on (DESIGN section 5): the agent reaches the kernel over
 * the bound Unix socket, and its processes lie in the container's memory cgroup. A sandbox such as gVisor's runsc can
 * be told to let neither be: it would then start, and every limit and every call would be a lie.
 */
import { readFile } from 'node:fs/promises';
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import type { ContainerId } from '../../Kernel/contract/ids.ts';
import type { Clock, ContainerSpec, EnginePort } from '../../Kernel/contract/ports.ts';
import { AGENT_PROTOCOL } from '../../Kernel/contract/wire/agent.constants.ts';
import type { LinkLimits, OpenLink } from '../link/link.ts';

const REMOVAL_TIMEOUT_MS = 10_000;

export type AcceptRuntimePorts = {
  readonly engine: EnginePort;
  readonly openLink: OpenLink;
  readonly clock: Clock;
  readonly limits: LinkLimits;
  readonly timeoutMs: number;
};

/** Names the memory cgroup in a `/proc/PID/cgroup`, of version 1 (`memory`) or 2 (the one hierarchy). */
export const memoryCgroupOf = (text: string): string | null => {
  const rows = text.split('\n').map((line) => line.split(':'));
  const row =
    rows.find(([, controllers]) => controllers?.split(',').includes('memory')) ?? rows.find(([id]) => id === '0');
  return row === undefined ? null : row.slice(2).join(':');
};

const refuse = (spec: ContainerSpec, why: string, remedy: string): KernelError =>
  new KernelError('ENGINE_UNSUITABLE', `the runtime ${spec.runtime} is not acceptable: ${why}`, {
    context: { runtime: spec.runtime, zone: spec.zone },
    remedy,
  });

const checkCgroup = async (
  ports: AcceptRuntimePorts,
  spec: ContainerSpec,
  container: ContainerId,
  signal: AbortSignal,
): Promise<void> => {
  const facts = await ports.engine.inspect(container, signal);
  if (facts?.pid == null)
    throw refuse(spec, 'its instance ended right after it connected', 'See the log of the engine.');
  const path = memoryCgroupOf(await readFile(`/proc/${facts.pid}/cgroup`, 'utf8'));
  if (path?.includes(container)) return;
  throw refuse(
    spec,
    `its instance is in the memory cgroup ${path ?? 'of nobody'}, not in the container's, so the memory limit does not hold`,
    'Start the runtime without --ignore-cgroups, or leave the runtime out of kernel.yaml.',
  );
};

/** @throws KernelError `ENGINE_UNSUITABLE` with what to change; those of the engine */
export const acceptRuntime = async (
  ports: AcceptRuntimePorts,
  spec: ContainerSpec,
  signal: AbortSignal,
): Promise<void> => {
  const { engine, clock, timeoutMs } = ports;
  const connected = Promise.withResolvers<boolean>();
  await using link = await ports.openLink({
    instance: spec.instance,
    directory: spec.directory,
    limits: ports.limits,
    handlers: {
      onHello: () => {
        connected.resolve(true);
        return { protocol: AGENT_PROTOCOL, orphanTimeoutMs: timeoutMs, outputCreditBytes: 0 };
      },
      onDisconnect: () => undefined,
      onViolation: () => connected.resolve(false),
      onOutput: () => undefined,
      onRequest: () => {
        throw new KernelError('UNAVAILABLE', `${link.instance} is only tried out`);
      },
    },
  });
  const container = await engine.create(spec, signal);
  const cancel = clock.after(timeoutMs, () => connected.resolve(false));
  try {
    await engine.start(container, signal);
    if (!(await connected.promise)) {
      throw refuse(
        spec,
        `its instance did not reach the kernel over its Unix socket within ${timeoutMs} ms`,
        'Start the runtime with --host-uds=open, so that instances may connect to bound sockets.',
      );
    }
    await checkCgroup(ports, spec, container, signal);
  } catch (thrown) {
    const error = toKernelError(thrown, 'ENGINE_FAILED');
    if (error.code !== 'ENGINE_FAILED') throw error;
    throw refuse(spec, error.message, 'See the log of the engine; docker run --runtime shows the same failure.');
  } finally {
    cancel();
    // Not the caller's signal: an aborted start must still leave no container behind.
    await engine.remove(container, AbortSignal.timeout(REMOVAL_TIMEOUT_MS));
  }
};
