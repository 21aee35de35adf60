/**
 * One zone at work: executes `zone.machine.ts`, holds the units of the zone's modules and keeps them as desired.
 *
 * INVARIANTS
 * - User code starts only from `openUnits`, after image and probe were in order; what is adopted passed a probe
 *   of an earlier start with the same specification.
 * - A unit is dropped from the map only when no container of it is left.
 */
import type { EffectiveConfig } from '../../Kernel/contract/effective-config.ts';
import { KernelError, toKernelError, type ErrorCode } from '../../Kernel/contract/errors.ts';
import type { HomeId, InstanceId, ModuleName, ZoneName } from '../../Kernel/contract/ids.ts';
import { createActor } from '../../Kernel/contract/machine.ts';
import type { ProbeReport } from '../../Kernel/contract/operations/shapes.ts';
import type { Random } from '../../Kernel/contract/ports.ts';
import type { Instance, InstancePorts } from '../instance/instance.ports.ts';
import type { Report, Unit } from '../unit/unit.runner.ts';
import type { ZoneBlueprint, ZonePreparation } from '../zone/zone-blueprint.ts';
import { newZone, stepZone, type ZoneEffect, type ZoneEvent, type ZoneState } from '../zone/zone.machine.ts';
import type { OpenPlace } from './adoption.plan.ts';
import { sameInstances, type DesiredModule } from './desired.ts';
import { reconcileZone } from './reconcile-zone.ts';
import { createZoneUnits, type ZoneUnits } from './zone-units.ts';

/** A failed zone is tried again this often while its fault may pass by itself, and when only somebody can mend it. */
const RETRY_MS = 2_000;
const PATIENT_RETRY_MS = 30_000;
const MENDED_BY_HAND: ReadonlySet<ErrorCode> = new Set([
  'ENGINE_UNSUITABLE',
  'CONFIG_INVALID',
  'IMAGE_UNAVAILABLE',
  'UID_UNAVAILABLE',
]);

const retryDelayMs = (state: ZoneState): number =>
  state.kind === 'failed' && MENDED_BY_HAND.has(state.code) ? PATIENT_RETRY_MS : RETRY_MS;

export type ZoneRuntimePorts = {
  readonly home: HomeId;
  readonly instances: InstancePorts;
  readonly preparation: ZonePreparation;
  readonly random: Random;
  readonly config: () => EffectiveConfig;
  /** Ids that any zone of this kernel holds, those of probes included. */
  readonly known: () => ReadonlySet<InstanceId>;
  readonly report: Report;
  readonly onChange: (zone: ZoneName) => void;
};

export type ZoneRuntime = {
  readonly zone: ZoneName;
  readonly state: () => ZoneState;
  readonly send: (event: ZoneEvent) => void;
  readonly blueprint: () => ZoneBlueprint | null;
  readonly probe: () => ProbeReport | null;
  readonly units: () => ReadonlyMap<ModuleName, readonly Unit[]>;
  readonly desired: () => ReadonlyMap<ModuleName, DesiredModule>;
  readonly instances: () => readonly Instance[];
  /** Level-triggered: call it with everything that should run in this zone. */
  readonly setDesired: (modules: readonly DesiredModule[]) => void;
  /** Replaces all instances of a module and lifts its quarantine. */
  readonly restartModule: (module: ModuleName) => void;
  /** Asks the engine about every instance: some may have ended unseen. */
  readonly checkExits: () => void;
  /** Removes containers, directories and records of this zone that nothing here holds. */
  readonly sweep: (signal: AbortSignal) => Promise<void>;
  /** Resolves when no container of the module is left in this zone. */
  readonly moduleStopped: (module: ModuleName) => Promise<void>;
  readonly release: () => Promise<void>;
};

export const createZoneRuntime = (ports: ZoneRuntimePorts, zone: ZoneName): ZoneRuntime => {
  const { clock } = ports.instances;
  const log = ports.instances.log.child({ zone });
  const desired = new Map<ModuleName, DesiredModule>();
  const ended = new AbortController();
  let blueprint: ZoneBlueprint | null = null;
  let probe: ProbeReport | null = null;
  /** The latest preparation; never rejects, and ends within `lifecycle.componentTimeout`. */
  let preparing: Promise<void> = Promise.resolve();
  let cancelRetry = (): void => undefined;

  const changed = (): void => ports.onChange(zone);
  const serves = (): boolean => actor.state().kind === 'ready' || actor.state().kind === 'degraded';

  const units: ZoneUnits = createZoneUnits({
    zone,
    log,
    desired,
    instances: ports.instances,
    random: ports.random,
    config: ports.config,
    report: ports.report,
    blueprint: () => blueprint,
    serves: () => serves(),
    onChange: changed,
  });

  const actor = createActor<ZoneState, ZoneEvent, ZoneEffect>({
    initial: newZone,
    step: stepZone,
    nowMs: clock.monotonicMs,
    execute: (effect) => execute(effect),
    onTransition: ({ before, after, reason }) => {
      if (before === after) return;
      const severity = after.kind === 'failed' ? 'error' : after.kind === 'degraded' ? 'warn' : 'info';
      ports.report({
        kind: `zone.${after.kind}`,
        severity,
        zone,
        reason,
        ...(after.kind === 'failed' ? { code: after.code } : {}),
      });
      changed();
    },
  });

  const openUnits = (): void => {
    units.fit();
    if (serves()) units.open();
  };

  const reconcile = (places: () => readonly OpenPlace[], signal: AbortSignal): Promise<void> =>
    reconcileZone(
      { zone, home: ports.home, instances: ports.instances, units, known: ports.known, report: ports.report },
      places,
      signal,
    );

  const prepare = async (attempt: number): Promise<void> => {
    const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(ports.config().lifecycle.componentTimeoutMs)]);
    try {
      const plan = await ports.preparation.resolve(zone, signal);
      blueprint = plan;
      units.fit();
      await reconcile(() => units.openPlaces(plan), signal);
      probe = await ports.preparation.probe(plan, signal);
      if (!probe.passed) {
        const failed = probe.checks.filter((check) => !check.passed).map(({ name }) => name);
        throw new KernelError('ISOLATION_INCOMPLETE', `the probe was not refused: ${failed.join(', ')}`, {
          context: { failed },
        });
      }
      actor.send({ kind: 'prepared', attempt });
    } catch (thrown) {
      if (ended.signal.aborted) return;
      const error = toKernelError(thrown, 'ENGINE_FAILED');
      log.error('the zone cannot be made ready', { code: error.code, reason: error.message, error });
      actor.send({
        kind: 'prepareFailed',
        attempt,
        code: error.code,
        reason: error.message,
        remedy: error.remedy ?? null,
        retry: error.code !== 'ISOLATION_INCOMPLETE',
      });
    }
  };

  const drainUnits = async (attempt: number): Promise<void> => {
    // A stop that comes while the zone starts: what is about to be adopted must be there to be stopped.
    await preparing;
    const all = units.all();
    for (const unit of all) unit.stop();
    await Promise.all(all.map((unit) => unit.stopped()));
    actor.send({ kind: 'drained', attempt });
  };

  const execute = (effect: ZoneEffect): void => {
    switch (effect.kind) {
      case 'prepare':
        preparing = prepare(effect.attempt);
        return;
      case 'openUnits':
        return openUnits();
      case 'closeUnits':
        for (const unit of units.all()) unit.stop();
        return;
      case 'drainUnits':
        void drainUnits(effect.attempt);
        return;
      case 'setRetry':
        cancelRetry();
        cancelRetry = clock.after(retryDelayMs(actor.state()), () =>
          actor.send({ kind: 'retryElapsed', attempt: effect.attempt }),
        );
        return;
    }
  };

  return {
    zone,
    state: actor.state,
    send: actor.send,
    blueprint: () => blueprint,
    probe: () => probe,
    units: units.byModule,
    desired: () => desired,
    instances: units.instances,
    setDesired: (modules) => {
      const before = new Map(desired);
      desired.clear();
      for (const module of modules) desired.set(module.name, module);
      openUnits();
      for (const [name, module] of desired) {
        const old = before.get(name);
        if (old === undefined || sameInstances(old, module) || !serves()) continue;
        units.replace(name);
      }
      changed();
    },
    restartModule: (module) => {
      if (!serves()) throw new KernelError('ZONE_UNAVAILABLE', `zone ${zone} is ${actor.state().kind}`);
      units.replace(module);
    },
    checkExits: () => {
      for (const instance of units.instances()) instance.checkExit();
    },
    sweep: async (signal) => {
      const plan = blueprint;
      if (serves() && plan !== null) return reconcile(() => units.openPlaces(plan), signal);
      // Nothing may run in a zone that is disabled, or that was stopped. One that is about to start adopts first.
      const state = actor.state();
      const closed = state.kind === 'stopped' && (state.attempt > 0 || !ports.config().zones[zone].enabled);
      if (closed) await reconcile(() => [], signal);
    },
    moduleStopped: async (module) => {
      await Promise.all((units.byModule().get(module) ?? []).map((unit) => unit.stopped()));
    },
    release: async () => {
      ended.abort();
      cancelRetry();
      await Promise.all(units.all().map((unit) => unit.release()));
    },
  };
};
