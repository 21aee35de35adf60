/** Executes what `unit.machine.ts` decides: fills one place of a module with one instance after another. */
import {
  createUnitStep,
  newUnit,
  type RestartPolicy,
  type UnitEffect,
  type UnitEvent,
  type UnitState,
} from '../../Kernel/core/watchdog/unit.machine.ts';
import { createActor } from '../../Kernel/contract/machine.ts';
import type { InstanceId, ModuleName, ZoneName } from '../../Kernel/contract/ids.ts';
import type { InstanceExit, KernelEvent } from '../../Kernel/contract/operations/shapes.ts';
import type { Clock, ContainerFacts, Log, Random } from '../../Kernel/contract/ports.ts';
import { toKernelError } from '../../Kernel/contract/errors.ts';
import type { Instance, InstanceOwner } from '../instance/instance.ports.ts';

/** What a unit reports; the supervisor adds sequence and time. */
export type Report = (event: Omit<KernelEvent, 'seq' | 'at'>) => void;

export type UnitPorts = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly policy: () => RestartPolicy;
  /** Deaths within the window of the module's other places. */
  readonly siblingDeaths: () => number;
  readonly report: Report;
  /** Admits, makes and starts an instance; throws KernelError when the host cannot. */
  readonly makeInstance: (
    unit: { readonly restarts: number; readonly index: number },
    owner: InstanceOwner,
  ) => Instance;
  /** Takes over an instance that runs already. */
  readonly takeOver: (facts: ContainerFacts, restarts: number, owner: InstanceOwner) => Instance;
  readonly onChange: () => void;
};

export type Unit = {
  readonly zone: ZoneName;
  readonly module: ModuleName;
  readonly index: number;
  readonly state: () => UnitState;
  /** The instance that serves, is starting, or is on its way out; newest first. */
  readonly instances: () => readonly Instance[];
  /** The instance that answers calls now. */
  readonly serving: () => Instance | null;
  readonly restarts: () => number;
  /** Its own deaths within the window. */
  readonly recentDeaths: () => number;
  readonly lastExit: () => InstanceExit | null;
  readonly reason: () => string | null;
  readonly start: () => void;
  readonly stop: () => void;
  readonly replace: () => void;
  readonly adopt: (facts: ContainerFacts, restarts: number) => void;
  /** Resolves when it is stopped and no container of it is left. */
  readonly stopped: () => Promise<void>;
  /** Lets go of the instances without ending them. */
  readonly release: () => Promise<void>;
};

/** Causes that are not the module's doing: they are waited out, not counted. */
const HOST_CAUSES: ReadonlySet<InstanceExit['cause']> = new Set(['engine', 'orphaned']);

export const createUnit = (ports: UnitPorts, identity: { zone: ZoneName; module: ModuleName; index: number }): Unit => {
  const { clock, report } = ports;
  const { zone, module, index } = identity;
  const instances = new Map<number, Instance>();
  const waiters: (() => void)[] = [];
  let cancelBackoff = (): void => undefined;
  let cancelStable = (): void => undefined;
  let lastExit: InstanceExit | null = null;
  let reason: string | null = null;

  const actor = createActor<UnitState, UnitEvent, UnitEffect>({
    initial: newUnit,
    step: (state, event, nowMs) => createUnitStep(ports.policy())(state, event, nowMs),
    nowMs: clock.monotonicMs,
    execute: (effect) => execute(effect),
    onTransition: (transition) => {
      if (transition.before === transition.after) return;
      reason = transition.reason;
      settle();
      ports.onChange();
    },
  });

  const settle = (): void => {
    const { kind } = actor.state();
    if ((kind === 'stopped' || kind === 'quarantined') && instances.size === 0) {
      for (const resolve of waiters.splice(0)) resolve();
    }
  };

  const ownerOf = (attempt: number, idOf: () => InstanceId | null): InstanceOwner => ({
    onReady: () => {
      const instance = idOf();
      if (instance === null) return;
      report({ kind: 'instance.ready', severity: 'info', zone, module, instance, reason: 'ready' });
      actor.send({ kind: 'instanceReady', attempt, instance });
    },
    onLost: (cause, detail) => {
      const fault = HOST_CAUSES.has(cause) ? 'host' : 'module';
      actor.send({
        kind: 'instanceLost',
        attempt,
        reason: `${cause}: ${detail}`,
        fault,
        jitter: ports.random.unit(),
        siblingDeaths: ports.siblingDeaths(),
      });
    },
    onGone: (exit) => {
      lastExit = exit;
      const expected = exit.cause === 'operator' || exit.cause === 'replaced';
      report({
        kind: 'instance.gone',
        severity: expected ? 'info' : 'warn',
        zone,
        module,
        ...(idOf() === null ? {} : { instance: idOf()! }),
        code: exit.cause,
        reason: exit.detail,
        details: { exitCode: exit.exitCode, signal: exit.signal, oomKilled: exit.oomKilled },
      });
      instances.delete(attempt);
      actor.send({ kind: 'instanceGone', attempt, cause: `${exit.cause}: ${exit.detail}` });
      settle();
      ports.onChange();
    },
    onChange: ports.onChange,
  });

  const launch = (attempt: number): void => {
    let id: InstanceId | null = null;
    try {
      const { restarts } = actor.state().history;
      const instance = ports.makeInstance(
        { restarts, index },
        ownerOf(attempt, () => id),
      );
      id = instance.id;
      instances.set(attempt, instance);
    } catch (thrown) {
      const error = toKernelError(thrown);
      ports.log.warn('an instance could not be started', { zone, module, code: error.code, reason: error.message });
      actor.send({
        kind: 'instanceLost',
        attempt,
        reason: `${error.code}: ${error.message}`,
        fault: 'host',
        jitter: ports.random.unit(),
        siblingDeaths: ports.siblingDeaths(),
      });
    }
  };

  const execute = (effect: UnitEffect): void => {
    switch (effect.kind) {
      case 'launch':
        return launch(effect.attempt);
      case 'retire': {
        const instance = instances.get(effect.attempt);
        if (instance === undefined)
          actor.send({ kind: 'instanceGone', attempt: effect.attempt, cause: 'never started' });
        else instance.drain(effect.cause);
        return;
      }
      case 'setBackoff':
        cancelBackoff = clock.after(effect.delayMs, () =>
          actor.send({ kind: 'backoffElapsed', attempt: effect.attempt }),
        );
        return;
      case 'clearBackoff':
        return cancelBackoff();
      case 'setStable':
        cancelStable = clock.after(effect.delayMs, () =>
          actor.send({ kind: 'stableElapsed', attempt: effect.attempt }),
        );
        return;
      case 'clearStable':
        return cancelStable();
      case 'tellQuarantined':
        return report({
          kind: 'module.quarantined',
          severity: 'error',
          zone,
          module,
          code: 'MODULE_QUARANTINED',
          reason: effect.reason,
        });
    }
  };

  return {
    zone,
    module,
    index,
    state: actor.state,
    instances: () => [...instances.values()].reverse(),
    serving: () => {
      const state = actor.state();
      if (state.kind !== 'running') return null;
      const instance = instances.get(state.attempt);
      return instance?.state().kind === 'ready' ? instance : null;
    },
    restarts: () => actor.state().history.restarts,
    recentDeaths: () => {
      const sinceMs = clock.monotonicMs() - ports.policy().intensity.windowMs;
      return actor.state().history.deathsMs.filter((atMs) => atMs > sinceMs).length;
    },
    lastExit: () => lastExit,
    reason: () => reason,
    start: () => actor.send({ kind: 'startRequested' }),
    stop: () => actor.send({ kind: 'stopRequested' }),
    replace: () => actor.send({ kind: 'replaceRequested' }),
    adopt: (facts, restarts) => {
      actor.send({ kind: 'adopted', instance: facts.instance!, restarts });
      const { attempt } = actor.state();
      instances.set(
        attempt,
        ports.takeOver(
          facts,
          restarts,
          ownerOf(attempt, () => facts.instance),
        ),
      );
    },
    stopped: () =>
      new Promise((resolve) => {
        waiters.push(resolve);
        settle();
      }),
    release: async () => {
      cancelBackoff();
      cancelStable();
      await Promise.all([...instances.values()].map((instance) => instance.release()));
    },
  };
};
