/** One bounded way to ask the engine: every request has a deadline, ends with its signal and fails with a closed code. */
import { Agent } from 'node:http';
import { inspect } from 'node:util';
import type Docker from 'dockerode';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { Clock } from '../../Kernel/contract/ports.ts';
import { httpStatusOf, toEngineError } from './engine-error.ts';
import { loadDockerode } from './load-dockerode.ts';

export type EngineClient = {
  /**
   * Runs one request. `what` names it in errors. A status in `already` counts as done and gives null.
   *
   * @throws KernelError `ENGINE_UNREACHABLE`, `ENGINE_FAILED`, or the reason of `signal`
   */
  readonly request: <T>(request: EngineRequest<T>, signal: AbortSignal) => Promise<T | null>;
};

export type EngineRequest<T> = {
  readonly what: string;
  readonly run: (docker: Docker, abortSignal: AbortSignal) => Promise<T>;
  readonly already?: readonly number[];
  /** Departs from the client's time limit, as an image import or an event stream must. */
  readonly timeoutMs?: number;
};

export type EngineClientOptions = {
  readonly socketPath: string;
  readonly clock: Clock;
  readonly requestTimeoutMs: number;
};

/**
 * docker-modem writes every request out for its debug log, wanted or not, down to the sockets that the agent has
 * open: with eight requests at once that took 3 s of the adoption of 50 instances.
 */
class TerseAgent extends Agent {
  [inspect.custom](): string {
    return 'Agent';
  }
}

export const createEngineClient = ({ socketPath, clock, requestTimeoutMs }: EngineClientOptions): EngineClient => {
  // No keep-alive: after a restart of the engine a kept connection is dead, and the first request on it
  // would report an engine that runs as gone. A new Unix connection costs about 50 us.
  const Dockerode = loadDockerode();
  // Its constructor reads DOCKER_HOST and its TLS settings from the environment unless told all of this.
  const settings = { socketPath, protocol: 'http' as const, agent: new TerseAgent({ keepAlive: false }) };
  const docker = new Dockerode(settings);

  const request = async <T>(wanted: EngineRequest<T>, signal: AbortSignal): Promise<T | null> => {
    const limitMs = wanted.timeoutMs ?? requestTimeoutMs;
    if (signal.aborted) throw abortReason(signal, wanted.what);
    const ending = new AbortController();
    const ended = Promise.withResolvers<never>();
    const end = (error: KernelError): void => {
      ended.reject(error);
      ending.abort(error);
    };
    const onAbort = (): void => end(abortReason(signal, wanted.what));
    signal.addEventListener('abort', onAbort, { once: true });
    const cancelTimer = clock.after(limitMs, () => end(timeoutError(wanted.what, socketPath, limitMs)));
    try {
      // The race, and not the signal alone: docker-modem never settles when a response breaks off halfway.
      return await Promise.race([wanted.run(docker, ending.signal), ended.promise]);
    } catch (thrown) {
      const status = httpStatusOf(thrown);
      if (status !== null && wanted.already?.includes(status)) return null;
      throw toEngineError(thrown, wanted.what, socketPath);
    } finally {
      cancelTimer();
      signal.removeEventListener('abort', onAbort);
      ended.promise.catch(() => {}); // lost the race: nobody else listens, and that is the normal case
    }
  };
  return { request };
};

/** The three questions about the engine itself: their types know no options, though dockerode passes the signal on. */
export const aboutEngine = (docker: Docker) =>
  docker as unknown as Record<'info' | 'version' | 'ping', (options: { abortSignal: AbortSignal }) => Promise<unknown>>;

const abortReason = (signal: AbortSignal, what: string): KernelError =>
  signal.reason instanceof KernelError
    ? signal.reason
    : new KernelError('CANCELLED', `${what} was given up`, { cause: signal.reason });

const timeoutError = (what: string, socketPath: string, limitMs: number): KernelError =>
  new KernelError('ENGINE_UNREACHABLE', `the container engine did not ${what} within ${limitMs} ms`, {
    context: { socketPath, timeoutMs: limitMs },
    retryAfterMs: 1000,
  });
