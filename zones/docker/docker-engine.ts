/** The container engine over its Unix socket, as the EnginePort of the contract. */
import { setTimeout as delay } from 'node:timers/promises';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { ContainerId } from '../../Kernel/contract/ids.ts';
import type {
  Clock,
  ContainerFacts,
  ContainerIsolation,
  ContainerSpec,
  EnginePort,
  Log,
} from '../../Kernel/contract/ports.ts';
import { containerFactsOf, parseInspect } from './container-facts.ts';
import type { InspectAnswer } from './container-facts.ts';
import { planCreateBody } from './create-body.plan.ts';
import { aboutEngine, createEngineClient } from './engine-client.ts';
import type { EngineClient } from './engine-client.ts';
import { parseEngineHost } from './engine-endpoint.ts';
import { httpStatusOf } from './engine-error.ts';
import { engineFactsOf } from './engine-facts.ts';
import { followEvents } from './follow-events.ts';
import { createImageStore } from './image-store.ts';
import type { ImageStore } from './image-store.ts';
import { listHome, listLeasedUids } from './list-containers.ts';
import { readProcessIsolation } from './process-isolation.ts';
import { demultiplex } from './startup-output.ts';

export type DockerEngineOptions = {
  /** Path of the socket; or `host` as in DOCKER_HOST (`unix:///…`). One of the two. */
  readonly socketPath?: string;
  readonly host?: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Limit of every request but the import of an image. */
  readonly requestTimeoutMs: number;
};

const REMOVAL_POLL_MS = 50;

/** The engine and, since they share one connection's settings, its images. */
export type DockerEngine = EnginePort & { readonly images: ImageStore; readonly socketPath: string };

/** @throws KernelError `ENGINE_UNSUITABLE` when the address is not a Unix socket. Connects to nothing yet. */
export const createDockerEngine = (options: DockerEngineOptions): DockerEngine => {
  const { clock, log, requestTimeoutMs } = options;
  const socketPath = options.socketPath ?? parseEngineHost(options.host ?? '/var/run/docker.sock');
  const client = createEngineClient({ socketPath, clock, requestTimeoutMs });

  const inspectAnswer = async (container: ContainerId, signal: AbortSignal): Promise<InspectAnswer | null> => {
    const answer = await client.request(
      {
        what: 'inspect a container',
        run: (docker, abortSignal) => docker.getContainer(container).inspect({ abortSignal }),
        already: [404],
      },
      signal,
    );
    return answer === null ? null : parseInspect(answer);
  };
  const inspect = async (container: ContainerId, signal: AbortSignal): Promise<ContainerFacts | null> => {
    const answer = await inspectAnswer(container, signal);
    return answer === null ? null : containerFactsOf(answer);
  };

  return {
    socketPath,
    images: createImageStore(client),
    facts: async (signal) => {
      const ask = { what: 'describe itself' };
      const [info, version] = await Promise.all([
        client.request({ ...ask, run: (docker, abortSignal) => aboutEngine(docker).info({ abortSignal }) }, signal),
        client.request({ ...ask, run: (docker, abortSignal) => aboutEngine(docker).version({ abortSignal }) }, signal),
      ]);
      return engineFactsOf(info, version);
    },
    ping: async (signal) => {
      await client.request(
        { what: 'answer a ping', run: (docker, abortSignal) => aboutEngine(docker).ping({ abortSignal }) },
        signal,
      );
    },
    leasedUids: (signal) => listLeasedUids(client, signal),
    create: async (spec, signal) => {
      const container = await createContainer(client, spec, signal);
      log.debug('container created', { container, instance: spec.instance, zone: spec.zone, uid: spec.uid });
      return container;
    },
    start: async (container, signal) => {
      await client.request(
        {
          what: 'start a container',
          run: (docker, abortSignal) => docker.getContainer(container).start({ abortSignal }),
          already: [304],
        },
        signal,
      );
    },
    kill: (container, signal) => killContainer(client, container, signal),
    remove: async (container, signal) => {
      const removed: unknown = await client.request(
        {
          what: 'remove a container',
          run: (docker, abortSignal) => docker.getContainer(container).remove({ force: true, v: true, abortSignal }),
          already: [404, 409], // gone, or another removal of it is under way
        },
        signal,
      );
      if (removed !== null) return;
      // What another removal takes away is gone only when the engine no longer knows it: its uid is free then.
      while ((await inspect(container, signal)) !== null) await delay(REMOVAL_POLL_MS, undefined, { signal });
    },
    inspect,
    isolation: (container, signal) => readIsolation(inspectAnswer, container, signal),
    list: (home, signal) => listHome(client, home, inspect, signal),
    startupOutput: (container, maxBytes, signal) => readStartupOutput(client, container, maxBytes, signal),
    follow: (home, onOpen, onEvent, signal) => followEvents(client, home, onOpen, onEvent, signal),
  };
};

/**
 * A creation that was given up on may still have happened in the engine: its container has the labels of
 * this home and no record, and is swept at the next reconciliation.
 */
const createContainer = async (
  client: EngineClient,
  spec: ContainerSpec,
  signal: AbortSignal,
): Promise<ContainerId> => {
  const created = await client
    .request(
      {
        what: 'create a container',
        run: (docker, abortSignal) => docker.createContainer({ ...planCreateBody(spec), abortSignal }),
      },
      signal,
    )
    .catch((thrown: unknown) => {
      throw createErrorOf(thrown, spec);
    });
  if (created === null) throw new KernelError('ENGINE_FAILED', 'the container engine created nothing');
  return created.id as ContainerId;
};

const createErrorOf = (thrown: unknown, spec: ContainerSpec): unknown => {
  if (!(thrown instanceof KernelError) || thrown.code !== 'ENGINE_FAILED') return thrown;
  const status = httpStatusOf(thrown.cause);
  if (status === 409) {
    return new KernelError('UID_UNAVAILABLE', `uid ${spec.uid} is leased by another container of this engine`, {
      cause: thrown,
      context: { uid: spec.uid },
      retryAfterMs: 0,
    });
  }
  if (status === 404) {
    return new KernelError('IMAGE_UNAVAILABLE', `the engine has no image ${spec.image}`, {
      cause: thrown,
      context: { image: spec.image },
    });
  }
  return thrown;
};

/** The engine's kill, never its stop, which waits for a grace time first. */
const killContainer = async (client: EngineClient, container: ContainerId, signal: AbortSignal): Promise<void> => {
  await client.request(
    {
      what: 'kill a container',
      run: (docker, abortSignal) => docker.getContainer(container).kill({ signal: 'SIGKILL', abortSignal }),
      already: [404, 409], // no such container; it does not run
    },
    signal,
  );
};

const readIsolation = async (
  inspectAnswer: (container: ContainerId, signal: AbortSignal) => Promise<InspectAnswer | null>,
  container: ContainerId,
  signal: AbortSignal,
): Promise<ContainerIsolation | null> => {
  const answer = await inspectAnswer(container, signal);
  if (answer === null || answer.State.Pid <= 0) return null;
  const seen = await readProcessIsolation(answer.State.Pid);
  if (seen === null) return null;
  // The pid may have been reused by an unrelated process between the two readings.
  const after = await inspectAnswer(container, signal);
  if (after?.State.Pid !== answer.State.Pid) return null;
  return { networkMode: answer.HostConfig.NetworkMode, readonlyRootfs: answer.HostConfig.ReadonlyRootfs, ...seen };
};

const readStartupOutput = async (
  client: EngineClient,
  container: ContainerId,
  maxBytes: number,
  signal: AbortSignal,
): Promise<string> => {
  const answer = await client.request(
    {
      what: 'give the output of a container',
      run: (docker, abortSignal) =>
        docker.getContainer(container).logs({ stdout: true, stderr: true, follow: false, abortSignal }),
      already: [404],
    },
    signal,
  );
  return answer === null ? '' : demultiplex(answer, maxBytes);
};
