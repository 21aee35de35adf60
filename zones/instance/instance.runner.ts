/**
 * Executes what `instance.machine.ts` decides, for one instance.
 *
 * INVARIANTS
 * - Every asynchronous result enters through `send`, and the machine drops what comes too late.
 * - The record says `assigned` on disk BEFORE the owner hears `ready`.
 * - The uid, the directory and the record are given up only after the engine confirmed that the container is
 *   removed: nothing is handed to a new instance that an old one might still reach.
 */
import { rm } from 'node:fs/promises';
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import type { ContainerId, InstanceId } from '../../Kernel/contract/ids.ts';
import { createActor } from '../../Kernel/contract/machine.ts';
import type { InstanceExit } from '../../Kernel/contract/operations/shapes.ts';
import type { ContainerFacts } from '../../Kernel/contract/ports.ts';
import { INITIAL_OUTPUT_CREDIT_BYTES, AGENT_PROTOCOL, type HelloParams, type HelloResult } from '../../Kernel/contract/wire/agent.schema.ts';
import type { InstanceLink, LinkHandlers } from '../link/link.ts';
import type { BusMembership } from '../user-bus/user-bus.ts';
import { assignModule } from './assign-module.ts';
import { startHeartbeat } from './heartbeat.ts';
import type { Assignment, Instance, InstanceOwner, InstancePorts, SpecTemplate } from './instance.ports.ts';
import {
  adoptedInstance, newInstance, stepInstance,
  type InstanceEffect, type InstanceEvent, type InstanceState, type InstanceTimer, type ObservedExit,
} from './instance.machine.ts';
import { instanceDirectory, launchContainer, openInstanceLink } from './launch-container.ts';

/** How long a kill may take before it is sent again. */
const KILL_RETRY_MS = 2_000;
/** How long stop() of a module may take within the drain. */
const STOP_MARGIN_MS = 250;
/** How often a drain looks whether calls are still in flight. */
const DRAIN_POLL_MS = 10;
/** How much of a failed start's output is kept for the reason. */
const STARTUP_OUTPUT_BYTES = 2_048;

export type StartInstance = {
  readonly id: InstanceId;
  readonly assignment: Assignment;
  readonly spec: SpecTemplate;
  readonly owner: InstanceOwner;
  /** The container that already runs, at adoption. */
  readonly adopted?: ContainerFacts;
};

/** Starts an instance, or takes over a running one. Never throws: failures reach the owner. */
export const startInstance = (ports: InstancePorts, options: StartInstance): Instance => {
  const { id, assignment, spec, owner, adopted } = options;
  const { clock, engine } = ports;
  const log = ports.log.child({ instance: id, module: assignment.module, zone: assignment.zone });
  const ended = new AbortController();
  const timers = new Map<InstanceTimer, () => void>();
  let container: ContainerId | null = adopted?.container ?? null;
  let pid: number | null = adopted?.pid ?? null;
  let uid = adopted?.uid ?? -1;
  let startedAtMs: number | null = adopted?.startedAt ? Date.parse(adopted.startedAt) : null;
  let link: InstanceLink | null = null;
  let membership: BusMembership | null = null;
  let heartbeat: Disposable | null = null;
  let probing = false;
  let launching = true;

  const actor = createActor<InstanceState, InstanceEvent, InstanceEffect>({
    initial: adopted === undefined ? newInstance : adoptedInstance,
    step: stepInstance,
    nowMs: clock.monotonicMs,
    execute: (effect) => execute(effect),
    onTransition: ({ before, after, event, reason }) => {
      if (before === after) return;
      log.debug(`${before.kind} -> ${after.kind}`, { event: event.kind, reason });
      owner.onChange();
    },
  });
  const send = actor.send;
  const bounded = (timeoutMs: number): AbortSignal => AbortSignal.any([ended.signal, AbortSignal.timeout(timeoutMs)]);

  const handlers: LinkHandlers = {
    onHello: (hello) => acceptHello(hello),
    onDisconnect: () => {
      send({ kind: 'connectionLost' });
      checkExit();
    },
    onViolation: (error) => send({ kind: 'violated', detail: `${error.code}: ${error.message}` }),
    onOutput: (output) => {
      const at = new Date(output.at).toISOString();
      const base = { at, module: assignment.module, instance: id };
      if (output.droppedBytes > 0) {
        ports.appendOutput({ ...base, stream: 'kernel', level: 'warn', text: `${output.droppedBytes} bytes of output were dropped` });
      }
      ports.appendOutput({ ...base, stream: output.stream, level: output.level, text: output.text });
    },
    onRequest: (method, params) => {
      if (membership === null) throw new KernelError('UNAVAILABLE', 'the instance has not joined the bus yet', { retryAfterMs: 50 });
      const { topic, payload } = params as { topic: string; payload?: unknown };
      switch (method) {
        case 'bus.publish':
          return membership.publish(topic, payload);
        case 'bus.subscribe':
          membership.subscribe(topic);
          return null;
        case 'bus.unsubscribe':
          membership.unsubscribe(topic);
          return null;
      }
    },
  };

  const acceptHello = (hello: HelloParams): HelloResult => {
    // What it says of itself can only speak against it: the record decides what it is.
    const expected = adopted === undefined ? null : assignment.digest;
    const reported = hello.assigned?.digest ?? null;
    if (hello.protocol !== AGENT_PROTOCOL || reported !== expected) {
      const detail = `hello does not fit: protocol ${hello.protocol}, digest ${reported}; expected digest ${expected}`;
      send({ kind: 'violated', detail });
      throw new KernelError('PROTOCOL', detail);
    }
    // After this frame: the reply must reach the agent before the first request does.
    setImmediate(() => send({ kind: 'helloAccepted' }));
    return {
      protocol: AGENT_PROTOCOL,
      orphanTimeoutMs: ports.settings().orphanTimeoutMs,
      outputCreditBytes: INITIAL_OUTPUT_CREDIT_BYTES,
    };
  };

  const record = (state: 'assigning' | 'assigned'): void =>
    ports.records.write({
      instance: id, state, zone: assignment.zone, module: assignment.module, index: assignment.index,
      version: assignment.version, digest: assignment.digest, generation: assignment.generation,
      specDigest: spec.specDigest, configDigest: assignment.configDigest, uid, restarts: assignment.restarts,
    });

  const launch = async (): Promise<void> => {
    try {
      link = await openInstanceLink(ports, id, handlers);
      if (adopted !== undefined) return;
      const onCreated = (created: ContainerId, leased: number): void => {
        container = created;
        uid = leased;
      };
      await launchContainer(ports, id, spec, onCreated, bounded(ports.settings().startTimeoutMs));
      startedAtMs = clock.wallMs();
      send({ kind: 'containerStarted' });
      const facts = await engine.inspect(container!, bounded(ports.settings().engineTimeoutMs));
      pid = facts?.pid ?? null;
      owner.onChange();
    } catch (thrown) {
      const error = toKernelError(thrown, 'ENGINE_FAILED');
      if (!ended.signal.aborted) send({ kind: 'createFailed', detail: `${error.code}: ${error.message}` });
    } finally {
      launching = false;
      // A kill that came while the engine was still creating could not name a container: it can now.
      if (actor.state().kind === 'killing') void kill();
    }
  };

  const assign = async (): Promise<void> => {
    try {
      const options = { timeoutMs: ports.settings().assignTimeoutMs, signal: ended.signal };
      const payload = await assignment.loadPayload();
      record('assigning');
      if (link === null) throw new KernelError('INSTANCE_LOST', 'the connection is gone');
      joinBus(link);
      await assignModule(link, payload, options);
      record('assigned');
      send({ kind: 'assigned' });
    } catch (thrown) {
      const error = toKernelError(thrown);
      send({ kind: 'assignFailed', detail: error.message });
    }
  };

  const joinBus = (to: InstanceLink): void => {
    membership ??= ports.busOf(assignment.zone).join({
      instance: id,
      module: assignment.module,
      allow: assignment.bus,
      deliver: (message) => to.notify('bus.deliver', message),
      writable: () => to.connected(),
    });
  };

  const drain = async (): Promise<void> => {
    const { drainTimeoutMs } = ports.settings();
    const untilMs = clock.monotonicMs() + drainTimeoutMs - STOP_MARGIN_MS;
    while ((link?.inFlight() ?? 0) > 0 && clock.monotonicMs() < untilMs && !ended.signal.aborted) {
      await new Promise<void>((resolve) => void clock.after(DRAIN_POLL_MS, resolve));
    }
    const graceMs = Math.max(1, untilMs - clock.monotonicMs());
    try {
      await link?.request('stop', { graceMs }, { timeoutMs: graceMs, signal: ended.signal });
    } catch (thrown) {
      log.warn('the module did not stop by itself', { reason: toKernelError(thrown).message });
    }
    send({ kind: 'drained' });
  };

  /** Ends the link at once, so that calls in flight fail now, then has the engine kill the container. */
  const kill = async (): Promise<void> => {
    stopServing();
    await closeLink();
    try {
      if (container !== null) await engine.kill(container, bounded(KILL_RETRY_MS));
    } catch (thrown) {
      log.warn('the engine did not kill the container', { reason: toKernelError(thrown).message });
    }
    checkExit();
  };

  const closeLink = async (): Promise<void> => {
    const open = link;
    link = null;
    await open?.close();
  };

  const stopServing = (): void => {
    heartbeat?.[Symbol.dispose]();
    heartbeat = null;
    membership?.leave();
    membership = null;
  };

  const checkExit = (): void => {
    if (probing || actor.state().kind === 'gone') return;
    probing = true;
    void observeExit()
      .then((exit) => {
        if (exit !== null) send({ kind: 'exited', exit });
      })
      .catch((thrown: unknown) => log.debug('the exit is not known yet', { reason: toKernelError(thrown).message }))
      .finally(() => {
        probing = false;
      });
  };

  /** `null`: it runs, or nobody knows yet. */
  const observeExit = async (): Promise<ObservedExit | null> => {
    const at = new Date(clock.wallMs()).toISOString();
    const nothing = { exitCode: null, signal: null, oomKilled: false, at };
    if (container === null) {
      // While the engine creates, nobody knows: a container may yet come of it.
      return actor.state().kind === 'killing' && !launching ? { ...nothing, detail: 'the container was never made' } : null;
    }
    const facts = await engine.inspect(container, bounded(ports.settings().engineTimeoutMs));
    if (facts === null) return { ...nothing, detail: 'the engine does not know the container any more' };
    if (facts.state === 'running' || facts.state === 'paused' || facts.state === 'restarting') return null;
    if (facts.state === 'created') return actor.state().kind === 'killing' ? { ...nothing, detail: 'the container never started' } : null;
    const output = await startupOutput();
    const { exitCode = null, signal = null, oomKilled = false, finishedAt = at, error = null } = facts.exit ?? {};
    return { exitCode, signal, oomKilled, at: finishedAt, detail: [error, output].filter(Boolean).join('; ') };
  };

  /** What the agent printed before it closed its descriptors: empty after a good start. */
  const startupOutput = async (): Promise<string> => {
    if (container === null) return '';
    try {
      return (await engine.startupOutput(container, STARTUP_OUTPUT_BYTES, bounded(ports.settings().engineTimeoutMs))).trim();
    } catch (thrown) {
      log.debug('no startup output', { reason: toKernelError(thrown).message });
      return '';
    }
  };

  const dispose = async (exit: InstanceExit): Promise<void> => {
    stopServing();
    await closeLink();
    ended.abort();
    while (container !== null) {
      try {
        await engine.remove(container, AbortSignal.timeout(ports.settings().engineTimeoutMs));
        break;
      } catch (thrown) {
        // The engine is away: the uid and the directory stay taken until it confirms.
        log.warn('the container cannot be removed yet', { reason: toKernelError(thrown).message });
        await new Promise<void>((resolve) => void clock.after(KILL_RETRY_MS, resolve));
      }
    }
    await rm(instanceDirectory(ports.instancesDir, id), { recursive: true, force: true });
    ports.records.remove(id);
    if (uid >= 0) ports.uids.release(uid);
    owner.onGone(exit);
  };

  const tellReady = (): void => {
    if (link !== null) joinBus(link);
    if (link !== null) {
      heartbeat = startHeartbeat({
        link, clock, settings: () => ports.settings().heartbeat,
        onMissed: (detail) => send({ kind: 'unresponsive', cause: 'unresponsive', detail }),
      });
    }
    owner.onReady();
  };

  const timeoutOf = (timer: InstanceTimer): number => {
    const settings = ports.settings();
    switch (timer) {
      case 'start':
        return adopted === undefined ? settings.startTimeoutMs : settings.reconnectTimeoutMs;
      case 'assign':
        return settings.assignTimeoutMs;
      case 'drain':
        return settings.drainTimeoutMs;
      case 'kill':
        return KILL_RETRY_MS;
    }
  };

  const execute = (effect: InstanceEffect): void => {
    switch (effect.kind) {
      case 'setTimer':
        timers.get(effect.timer)?.();
        timers.set(effect.timer, clock.after(timeoutOf(effect.timer), () => send({ kind: 'timerExpired', timer: effect.timer })));
        return;
      case 'clearTimer':
        timers.get(effect.timer)?.();
        timers.delete(effect.timer);
        return;
      case 'assign':
        void assign();
        return;
      case 'tellReady':
        return tellReady();
      case 'tellLost':
        stopServing();
        return owner.onLost(effect.cause, effect.detail);
      case 'drain':
        void drain();
        return;
      case 'kill':
        void kill();
        return;
      case 'dispose':
        void dispose(effect.exit).catch((thrown: unknown) =>
          log.error('an instance could not be cleared away', { reason: toKernelError(thrown).message }),
        );
        return;
    }
  };

  /** After a deadline: is the loop alive, or must the instance go? One question at a time. */
  let asking = false;
  const askAlive = async (): Promise<void> => {
    if (asking || link === null) return;
    asking = true;
    const { limitMs } = ports.settings().heartbeat;
    try {
      await link.request('ping', null, { timeoutMs: limitMs, signal: ended.signal });
    } catch (thrown) {
      if (toKernelError(thrown).code === 'DEADLINE_EXCEEDED') {
        send({ kind: 'unresponsive', cause: 'deadline', detail: `a call passed its deadline and a ping got no answer within ${limitMs} ms` });
      }
    } finally {
      asking = false;
    }
  };

  timers.set('start', clock.after(timeoutOf('start'), () => send({ kind: 'timerExpired', timer: 'start' })));
  void launch();

  return {
    id,
    assignment,
    spec,
    state: actor.state,
    container: () => container,
    pid: () => (actor.state().kind === 'gone' ? null : pid),
    startedAtMs: () => startedAtMs,
    uid: () => uid,
    inFlight: () => link?.inFlight() ?? 0,
    call: async (name, params, { timeoutMs, signal }) => {
      if (link === null || actor.state().kind !== 'ready') throw new KernelError('INSTANCE_LOST', 'the instance is not serving');
      try {
        return await link.request('call', { function: name, params, timeoutMs }, { timeoutMs, signal });
      } catch (thrown) {
        if (toKernelError(thrown).code === 'DEADLINE_EXCEEDED') void askAlive();
        throw thrown;
      }
    },
    drain: (cause) => send({ kind: 'drainRequested', cause }),
    kill: (cause, detail) => send({ kind: 'killRequested', cause, detail }),
    checkExit,
    release: async () => {
      ended.abort();
      for (const cancel of timers.values()) cancel();
      timers.clear();
      stopServing();
      await closeLink();
    },
  };
};
