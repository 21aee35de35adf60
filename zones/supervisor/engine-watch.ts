/**
 * Watches the engine: follows its events, pings it in between, and tells when it goes and when it returns.
 * A stream that stays open while the engine hangs proves nothing, so pings decide; a stream that ends does too.
 */
import type { EngineConfig } from '../../Kernel/contract/effective-config.ts';
import { toKernelError } from '../../Kernel/contract/errors.ts';
import type { ContainerId, HomeId } from '../../Kernel/contract/ids.ts';
import type { Clock, EngineFacts, EnginePort, Log } from '../../Kernel/contract/ports.ts';

/** Time between two attempts to reach an engine that is away. */
const RECONNECT_MS = 500;
/** Pings in a row that must fail before the engine counts as away. */
const MISSES_ALLOWED = 2;

/** A ping costs the engine nothing: one that hangs shows long before the limit of other requests. */
const pingLimitMs = ({ pingIntervalMs, timeoutMs }: EngineConfig): number =>
  Math.min(timeoutMs, Math.max(2 * pingIntervalMs, MIN_PING_LIMIT_MS));
const MIN_PING_LIMIT_MS = 1_000;

export type EngineStatus = {
  readonly state: 'reachable' | 'unreachable' | 'unknown';
  readonly facts: EngineFacts | null;
  readonly reason: string | null;
};

export type EngineWatch = {
  readonly status: () => EngineStatus;
  readonly open: () => void;
  readonly close: () => Promise<void>;
};

export const watchEngine = (ports: {
  readonly engine: EnginePort;
  readonly clock: Clock;
  readonly log: Log;
  readonly home: HomeId;
  readonly settings: () => EngineConfig;
  /** Called on each new event stream; containers may have died unseen before it. */
  readonly onReachable: (facts: EngineFacts) => void;
  readonly onUnreachable: (reason: string) => void;
  readonly onDied: (container: ContainerId) => void;
  readonly onChange: () => void;
}): EngineWatch => {
  const { engine, clock } = ports;
  const ended = new AbortController();
  let status: EngineStatus = { state: 'unknown', facts: null, reason: null };
  let loop: Promise<void> = Promise.resolve();

  const sleep = (delayMs: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const done = (): void => {
        cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = clock.after(delayMs, done);
      signal.addEventListener('abort', done, { once: true });
      if (signal.aborted) done();
    });

  const setUnreachable = (reason: string): void => {
    if (status.state === 'unreachable') return;
    status = { ...status, state: 'unreachable', reason };
    ports.onUnreachable(reason);
    ports.onChange();
  };

  /** Pings until the connection ends or the engine stops answering; then ends the connection. */
  const keepAsking = async (connection: AbortController): Promise<void> => {
    let misses = 0;
    while (!connection.signal.aborted) {
      await sleep(ports.settings().pingIntervalMs, connection.signal);
      if (connection.signal.aborted) return;
      const limitMs = pingLimitMs(ports.settings());
      try {
        await engine.ping(AbortSignal.any([connection.signal, AbortSignal.timeout(limitMs)]));
        misses = 0;
      } catch (thrown) {
        misses += 1;
        if (misses < MISSES_ALLOWED || connection.signal.aborted) continue;
        const { code, message } = toKernelError(thrown);
        // Given up by the limit above: then the engine hangs, and no error of its own says so.
        setUnreachable(code === 'CANCELLED' ? `${misses} pings in a row had no answer within ${limitMs} ms` : message);
        connection.abort();
      }
    }
  };

  const follow = async (): Promise<void> => {
    const connection = new AbortController();
    const stop = (): void => connection.abort();
    ended.signal.addEventListener('abort', stop, { once: true });
    let asking: Promise<void> = Promise.resolve();
    try {
      // Bounded by the engine client, which says what was not answered in time.
      const facts = await engine.facts(connection.signal);
      asking = keepAsking(connection);
      const onOpen = (): void => {
        status = { state: 'reachable', facts, reason: null };
        ports.onReachable(facts);
        ports.onChange();
      };
      await engine.follow(
        ports.home,
        onOpen,
        (event) => {
          if (event.kind === 'containerDied') ports.onDied(event.container);
        },
        connection.signal,
      );
      if (!ended.signal.aborted) setUnreachable(status.reason ?? 'its event stream ended');
    } catch (thrown) {
      if (!ended.signal.aborted) setUnreachable(toKernelError(thrown).message);
    } finally {
      connection.abort();
      await asking;
      ended.signal.removeEventListener('abort', stop);
    }
  };

  const run = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      await follow();
      await sleep(RECONNECT_MS, ended.signal);
    }
  };

  return {
    status: () => status,
    open: () => {
      loop = run();
    },
    close: async () => {
      ended.abort();
      await loop;
    },
  };
};
