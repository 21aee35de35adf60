/**
 * Executes what `kernel.machine.ts` decides. It starts and stops components, each within its time limit, and
 * knows nothing of what they are.
 *
 * INVARIANT: a component's `stop` is called once for each `start` that was begun, also one that failed or is
 * still under way, so that what it opened is closed.
 */
import { KernelError, toKernelError } from '../contract/errors.ts';
import type { ZoneName } from '../contract/ids.ts';
import { createActor } from '../contract/machine.ts';
import type { KernelEvent as ReportedEvent } from '../contract/operations/shapes.ts';
import type { Clock, Log } from '../contract/ports.ts';
import { COMPONENTS, BOOT_ORDER, type ComponentName } from '../manifest.ts';
import {
  createKernelStep,
  newKernel,
  type KernelEffect,
  type KernelEvent,
  type KernelState,
  type TerminatePolicy,
} from './kernel.machine.ts';

export type Component = {
  /** Resolves when it is up. The signal aborts when its time is over or the kernel is asked to stop. */
  readonly start: (signal: AbortSignal) => Promise<void>;
  /** Undoes what `start` did, as far as it came. Never called twice. */
  readonly stop: (policy: TerminatePolicy, signal: AbortSignal) => Promise<void>;
};

export type KernelPorts = {
  readonly clock: Clock;
  readonly log: Log;
  /** One for each name of the manifest: a missing one does not compile. */
  readonly components: Readonly<Record<ComponentName, Component>>;
  /** Zones that are to be up before control passes to the user layer. */
  readonly zones: readonly ZoneName[];
  readonly timeouts: () => { readonly componentMs: number; readonly drainMs: number };
  /** Lets the user layer start; resolves a zone at a time through `zoneSettled`. */
  readonly handOver: () => void;
  readonly report: (event: Omit<ReportedEvent, 'seq' | 'at'>) => void;
  readonly onUp: () => void;
};

export type Kernel = {
  readonly state: () => KernelState;
  readonly send: (event: KernelEvent) => void;
  /** Milliseconds from `boot` to the user layer being up; null before. */
  readonly bootMs: () => number | null;
  /** Boots; resolves with the exit status when everything has stopped. */
  readonly run: () => Promise<number>;
};

const severityOf = (state: KernelState): 'info' | 'warn' | 'error' => {
  if (state.kind === 'degraded') return 'warn';
  return state.kind === 'stopping' && state.exitStatus !== 0 ? 'error' : 'info';
};

/** The faults of a state as one sentence; null: none. */
export const reasonOf = (state: KernelState): string | null => {
  if ('faults' in state) {
    const faults = Object.entries(state.faults);
    return faults.length === 0 ? null : faults.map(([key, reason]) => `${key}: ${reason}`).join('; ');
  }
  return state.kind === 'stopping' ? state.reason : null;
};

export const createKernel = (ports: KernelPorts): Kernel => {
  const { clock, log, components, report } = ports;
  const startedMs = clock.monotonicMs();
  let bootMs: number | null = null;
  let finish = (_status: number): void => undefined;
  const finished = new Promise<number>((resolve) => {
    finish = resolve;
  });
  const starting = new Map<string, { readonly controller: AbortController; readonly done: Promise<void> }>();

  const actor = createActor<KernelState, KernelEvent, KernelEffect>({
    initial: newKernel,
    step: createKernelStep(BOOT_ORDER, ports.zones),
    nowMs: clock.monotonicMs,
    execute: (effect) => execute(effect),
    onTransition: ({ before, after, reason }) => {
      if (before.kind === after.kind) return;
      report({ kind: `kernel.${after.kind}`, severity: severityOf(after), reason });
    },
  });

  const withLimit = async (
    timeoutMs: number,
    what: string,
    run: (signal: AbortSignal) => Promise<void>,
    controller = new AbortController(),
  ): Promise<void> => {
    let cancel = (): void => undefined;
    const late = new Promise<never>((_, reject) => {
      cancel = clock.after(timeoutMs, () => {
        const error = new KernelError('DEADLINE_EXCEEDED', `${what} did not finish within ${timeoutMs} ms`);
        controller.abort(error);
        reject(error);
      });
    });
    try {
      await Promise.race([run(controller.signal), late]);
    } finally {
      cancel();
    }
  };

  const startComponent = async (name: ComponentName): Promise<void> => {
    const declaration = COMPONENTS.find((component) => component.name === name);
    const beganMs = clock.monotonicMs();
    const controller = new AbortController();
    const done = withLimit(ports.timeouts().componentMs, `component ${name}`, components[name].start, controller);
    starting.set(name, {
      controller,
      done: done.then(
        () => undefined,
        () => undefined,
      ),
    });
    try {
      await done;
      const ms = Math.round(clock.monotonicMs() - beganMs);
      report({ kind: 'component.up', severity: 'info', reason: name, details: { component: name, ms } });
      actor.send({ kind: 'componentStarted', component: name });
    } catch (thrown) {
      // Asked to stop meanwhile: whoever asked also stops this component.
      if (actor.state().kind === 'stopping') return;
      const error = toKernelError(thrown, 'BOOT_FAILED');
      const needed = declaration?.needs.join(', ') || 'nothing else';
      log.critical(`component ${name} did not start: ${error.message}`, {
        component: name,
        purpose: declaration?.purpose,
        needs: needed,
        code: error.code,
        remedy: error.remedy ?? declaration?.remedy,
        details: error.context,
      });
      // The machine stops what came up before; what this one opened is closed here, first.
      await stopQuietly(name, 'leave');
      actor.send({ kind: 'componentFailed', component: name, reason: `${name}: ${error.message}` });
    } finally {
      starting.delete(name);
    }
  };

  const stopQuietly = async (name: ComponentName, policy: TerminatePolicy): Promise<void> => {
    const { componentMs, drainMs } = ports.timeouts();
    try {
      await withLimit(componentMs + drainMs, `stopping ${name}`, (signal) => components[name].stop(policy, signal));
    } catch (thrown) {
      const error = toKernelError(thrown);
      log.error(`component ${name} did not stop cleanly: ${error.message}`, { component: name, code: error.code });
    }
  };

  const stopComponent = async (name: ComponentName, policy: TerminatePolicy): Promise<void> => {
    const underWay = starting.get(name);
    underWay?.controller.abort(new KernelError('STOPPING', 'the kernel is asked to stop'));
    await underWay?.done;
    await stopQuietly(name, policy);
    actor.send({ kind: 'componentStopped', component: name });
  };

  const execute = (effect: KernelEffect): void => {
    switch (effect.kind) {
      case 'startComponent':
        void startComponent(effect.component as ComponentName);
        return;
      case 'stopComponent':
        void stopComponent(effect.component as ComponentName, effect.policy);
        return;
      case 'handOver':
        return ports.handOver();
      case 'announceUp':
        bootMs = clock.monotonicMs() - startedMs;
        return ports.onUp();
      case 'exit':
        return finish(effect.status);
    }
  };

  return {
    state: actor.state,
    send: actor.send,
    bootMs: () => bootMs,
    run: () => {
      actor.send({ kind: 'bootRequested' });
      return finished;
    },
  };
};
