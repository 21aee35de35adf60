/**
 * Executes what `instance.machine.ts` decides, for one instance.
 *
 * INVARIANTS
 * - Every asynchronous result enters through `send`, and the machine drops what comes too late.
 * - The record says `assigned` on disk BEFORE the owner hears `ready`.
 * - The uid, the directory and the record are given up only after the engine confirmed that the container is
 *   removed: nothing is handed to a new instance that an old one might still reach.
 */
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import type { ContainerId, InstanceId } from '../../Kernel/contract/ids.ts';
import { createActor } from '../../Kernel/contract/machine.ts';
import type { InstanceExit } from '../../Kernel/contract/operations/shapes.ts';
import type { ContainerFacts } from '../../Kernel/contract/ports.ts';
import type { InstanceLink } from '../link/link.ts';
import { assignModule } from './assign-module.ts';
import { clearAway } from './clear-away.ts';
import { drainInstance } from './drain-instance.ts';
import { watchExit } from './exit-watch.ts';
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
import { createLinkHandlers } from './link-handlers.ts';
import { recordOf } from './instance-record.ts';
import { createServing } from './serving.ts';
import { launchContainer, openInstanceLink } from './launch-container.ts';

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
  let launching = true;
  let releaseSlot = (): void => undefined;
  const unwanted = new AbortController();

  const actor = createActor<InstanceState, InstanceEvent, InstanceEffect>({
    initial: adopted === undefined ? newInstance : adoptedInstance,
    step: stepInstance,
    nowMs: clock.monotonicMs,
    execute: (effect) => execute(effect),
    onTransition: ({ before, after, event, reason }) => {
      if (before === after) return;
      log.debug(`${before.kind} -> ${after.kind}`, { event: event.kind, reason });
      if (after.kind !== 'creating' && after.kind !== 'connecting') releaseSlot();
      owner.onChange();
    },
  });
  const send = actor.send;
  const bounded = (timeoutMs: number): AbortSignal => AbortSignal.any([ended.signal, AbortSignal.timeout(timeoutMs)]);

  const record = (state: 'assigning' | 'assigned'): void =>
    ports.records.write(recordOf({ instance: id, assignment, specDigest: spec.specDigest, uid, state }));

  const launch = async (): Promise<void> => {
    try {
      const handlers = createLinkHandlers({
        ports,
        id,
        assignment,
        adopted: adopted !== undefined,
        serving,
        link: () => link,
        send,
        checkExit: exits.check,
      });
      link = await openInstanceLink(ports, id, handlers);
      if (adopted !== undefined) return;
      releaseSlot = await ports.launchSlots.acquire(AbortSignal.any([ended.signal, unwanted.signal]));
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
      serving.joinBus(link);
      await assignModule(link, payload, options);
      record('assigned');
      send({ kind: 'assigned' });
    } catch (thrown) {
      const error = toKernelError(thrown);
      send({ kind: 'assignFailed', detail: error.message });
    }
  };

  const drain = async (): Promise<void> => {
    if (link !== null) await drainInstance(link, { clock, log, ended: ended.signal, ...ports.settings() });
    send({ kind: 'drained' });
  };

  /** Ends the link at once, so that calls in flight fail now, then has the engine kill the container. */
  const kill = async (): Promise<void> => {
    unwanted.abort();
    serving.stop();
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

  const serving = createServing({
    ports,
    instance: id,
    assignment,
    ended: ended.signal,
    onSilent: (cause, detail) => send({ kind: 'unresponsive', cause, detail }),
  });
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
    serving.stop();
    await closeLink();
    ended.abort();
    await clearAway(ports, { id, container, uid: uid >= 0 ? uid : null, log });
    owner.onGone(exit);
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
        if (link !== null) serving.watch(link);
        return owner.onReady();
      case 'tellLost':
        serving.stop();
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

  if (adopted !== undefined) timers.set('start');
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
    call: (name, params, limits) => {
      if (link === null || actor.state().kind !== 'ready') {
        return Promise.reject(new KernelError('INSTANCE_LOST', 'the instance is not serving'));
      }
      return serving.call(link, name, params, limits);
    },
    drain: (cause) => send({ kind: 'drainRequested', cause }),
    kill: (cause, detail) => send({ kind: 'killRequested', cause, detail }),
    checkExit: exits.check,
    release: async () => {
      ended.abort();
      releaseSlot();
      timers[Symbol.dispose]();
      serving.stop();
      await closeLink();
    },
  };
};
