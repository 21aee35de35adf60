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
import {
  INITIAL_OUTPUT_CREDIT_BYTES,
  AGENT_PROTOCOL,
  type HelloParams,
  type HelloResult,
} from '../../Kernel/contract/wire/agent.schema.ts';
import type { InstanceLink, LinkHandlers } from '../link/link.ts';
import type { BusMembership } from '../user-bus/user-bus.ts';
import { answerBusRequest, linesOf } from './agent-frames.ts';
import { assignModule } from './assign-module.ts';
import { watchExit } from './exit-watch.ts';
import { startHeartbeat } from './heartbeat.ts';
import type { Assignment, Instance, InstanceOwner, InstancePorts, SpecTemplate } from './instance.ports.ts';
import {
  adoptedInstance,
  newInstance,
  stepInstance,
  type InstanceEffect,
  type InstanceEvent,
  type InstanceState,
} from './instance.machine.ts';
import { createInstanceTimers, KILL_RETRY_MS } from './instance-timers.ts';
import { instanceDirectory, launchContainer, openInstanceLink } from './launch-container.ts';

/** How long stop() of a module may take within the drain. */
const STOP_MARGIN_MS = 250;
/** How often a drain looks whether calls are still in flight. */
const DRAIN_POLL_MS = 10;

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
  const timers = createInstanceTimers({
    clock,
    settings: ports.settings,
    adopted: adopted !== undefined,
    onExpired: (timer) => send({ kind: 'timerExpired', timer }),
  });
  let container: ContainerId | null = adopted?.container ?? null;
  let pid: number | null = adopted?.pid ?? null;
  let uid = adopted?.uid ?? -1;
  let startedAtMs: number | null = adopted?.startedAt ? Date.parse(adopted.startedAt) : null;
  let link: InstanceLink | null = null;
  let membership: BusMembership | null = null;
  let heartbeat: Disposable | null = null;
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
      exits.check();
    },
    onViolation: (error) => send({ kind: 'violated', detail: `${error.code}: ${error.message}` }),
    onOutput: (output) => {
      for (const line of linesOf(output, assignment.module, id)) ports.appendOutput(line);
    },
    onRequest: (method, params) => answerBusRequest(membership, method, params),
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
    // An adopted module subscribes again right after its hello: it must find the bus joined.
    if (adopted !== undefined && link !== null) joinBus(link);
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
      instance: id,
      state,
      zone: assignment.zone,
      module: assignment.module,
      index: assignment.index,
      version: assignment.version,
      digest: assignment.digest,
      generation: assignment.generation,
      specDigest: spec.specDigest,
      configDigest: assignment.configDigest,
      uid,
      restarts: assignment.restarts,
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
      writable: to.writable,
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
    exits.check();
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

  const exits = watchExit({
    engine,
    clock,
    log,
    timeoutMs: () => ports.settings().engineTimeoutMs,
    ended: ended.signal,
    container: () => container,
    launching: () => launching,
    state: actor.state,
    onExit: (exit) => send({ kind: 'exited', exit }),
  });

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
    if (link !== null) {
      heartbeat = startHeartbeat({
        link,
        clock,
        settings: () => ports.settings().heartbeat,
        onMissed: (detail) => send({ kind: 'unresponsive', cause: 'unresponsive', detail }),
      });
    }
    owner.onReady();
  };

  const execute = (effect: InstanceEffect): void => {
    switch (effect.kind) {
      case 'setTimer':
        return timers.set(effect.timer);
      case 'clearTimer':
        return timers.clear(effect.timer);
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
        send({
          kind: 'unresponsive',
          cause: 'deadline',
          detail: `a call passed its deadline and a ping got no answer within ${limitMs} ms`,
        });
      }
    } finally {
      asking = false;
    }
  };

  timers.set('start');
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
      if (link === null || actor.state().kind !== 'ready')
        throw new KernelError('INSTANCE_LOST', 'the instance is not serving');
      try {
        return await link.request('call', { function: name, params, timeoutMs }, { timeoutMs, signal });
      } catch (thrown) {
        if (toKernelError(thrown).code === 'DEADLINE_EXCEEDED') void askAlive();
        throw thrown;
      }
    },
    drain: (cause) => send({ kind: 'drainRequested', cause }),
    kill: (cause, detail) => send({ kind: 'killRequested', cause, detail }),
    checkExit: exits.check,
    release: async () => {
      ended.abort();
      timers[Symbol.dispose]();
      stopServing();
      await closeLink();
    },
  };
};
