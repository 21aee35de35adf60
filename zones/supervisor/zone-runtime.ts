/**
 * One zone at work: executes `zone.machine.ts`, holds the units of the zone's modules and keeps them as desired.
 *
 * INVARIANTS
 * - User code starts only from `openUnits`, after image and probe were in order; what is adopted passed a probe
 *   of an earlier start with the same specification.
 * - A unit is dropped from the map only when no container of it is left.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { EffectiveConfig } from '../../Kernel/contract/effective-config.ts';
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import { parseInstanceId, type HomeId, type InstanceId, type ModuleName, type ZoneName } from '../../Kernel/contract/ids.ts';
import { createActor } from '../../Kernel/contract/machine.ts';
import type { ProbeReport } from '../../Kernel/contract/operations/shapes.ts';
import type { ContainerFacts, Random } from '../../Kernel/contract/ports.ts';
import { decideAdmission } from '../../Kernel/core/resource-governor/admission.verdict.ts';
import type { InstanceRecord } from '../instance/instance-record.ts';
import type { Instance, InstanceOwner, InstancePorts } from '../instance/instance.ports.ts';
import { startInstance } from '../instance/instance.runner.ts';
import { createUnit, type Report, type Unit } from '../unit/unit.runner.ts';
import type { ZoneBlueprint, ZonePreparation } from '../zone/zone-blueprint.ts';
import { newZone, stepZone, type ZoneEffect, type ZoneEvent, type ZoneState } from '../zone/zone.machine.ts';
import { planAdoption, type OpenPlace } from './adoption.plan.ts';
import { sameInstances, type DesiredModule } from './desired.ts';

/** A failed zone is tried again this often, while its fault may pass by itself. */
const ZONE_RETRY_MS = 2_000;

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
  const { clock, engine } = ports.instances;
  const log = ports.instances.log.child({ zone });
  const desired = new Map<ModuleName, DesiredModule>();
  const units = new Map<ModuleName, Unit[]>();
  const ended = new AbortController();
  let blueprint: ZoneBlueprint | null = null;
  let probe: ProbeReport | null = null;
  let cancelRetry = (): void => undefined;

  const changed = (): void => ports.onChange(zone);
  const allUnits = (): Unit[] => [...units.values()].flat();
  const instances = (): Instance[] => allUnits().flatMap((unit) => unit.instances());
  const serves = (): boolean => actor.state().kind === 'ready' || actor.state().kind === 'degraded';

  const actor = createActor<ZoneState, ZoneEvent, ZoneEffect>({
    initial: newZone,
    step: stepZone,
    nowMs: clock.monotonicMs,
    execute: (effect) => execute(effect),
    onTransition: ({ before, after, reason }) => {
      if (before === after) return;
      const severity = after.kind === 'failed' ? 'error' : after.kind === 'degraded' ? 'warn' : 'info';
      ports.report({
        kind: `zone.${after.kind}`, severity, zone, reason,
        ...(after.kind === 'failed' ? { code: after.code } : {}),
      });
      changed();
    },
  });

  const admit = (module: DesiredModule, plan: ZoneBlueprint) => {
    const spec = plan.template(module.resources);
    const { memoryBytes, maxInstances } = ports.config().zones[zone];
    const held = instances()
      .filter((instance) => instance.state().kind !== 'killing' && instance.state().kind !== 'gone')
      .map((instance) => ({ memoryBytes: instance.spec.memoryBytes }));
    const verdict = decideAdmission({ memoryBytes, maxInstances }, held, { memoryBytes: spec.memoryBytes });
    if (!verdict.admitted) {
      throw new KernelError('ADMISSION_REFUSED', verdict.reason, {
        context: { zone, askedBytes: verdict.askedBytes, freeBytes: verdict.freeBytes }, retryAfterMs: 1_000,
      });
    }
    return spec;
  };

  const assignmentOf = (module: DesiredModule, index: number, restarts: number) => ({
    zone, module: module.name, index, generation: module.generation, version: module.version, digest: module.digest,
    configDigest: module.configDigest, restarts, bus: module.bus, loadPayload: module.loadPayload,
  });

  const wanted = (name: ModuleName): DesiredModule => {
    const module = desired.get(name);
    if (module === undefined || blueprint === null) throw new KernelError('ZONE_UNAVAILABLE', `zone ${zone} is not ready for ${name}`);
    return module;
  };

  const makeUnit = (name: ModuleName, index: number): Unit =>
    createUnit(
      {
        clock, random: ports.random, log, report: ports.report, onChange: changed,
        policy: () => ports.config().restart,
        makeInstance: ({ restarts }, owner) => {
          const module = wanted(name);
          const spec = admit(module, blueprint!);
          const id = parseInstanceId(`i-${ports.random.hex(6)}`);
          return startInstance(ports.instances, { id, assignment: assignmentOf(module, index, restarts), spec, owner });
        },
        takeOver: (facts, owner: InstanceOwner) => {
          const module = wanted(name);
          const spec = blueprint!.template(module.resources);
          ports.instances.uids.hold(facts.uid!);
          const restarts = 0;
          return startInstance(ports.instances, {
            id: facts.instance!, assignment: assignmentOf(module, index, restarts), spec, owner, adopted: facts,
          });
        },
      },
      { zone, module: name, index },
    );

  /** Brings the number of units to what is desired; those too many stop and go. */
  const fitUnits = (): void => {
    for (const [name, list] of units) {
      const count = desired.get(name)?.instances ?? 0;
      for (const unit of list.slice(count)) {
        unit.stop();
        void unit.stopped().then(() => {
          const rest = (units.get(name) ?? []).filter((other) => other !== unit);
          if (rest.length === 0) units.delete(name);
          else units.set(name, rest);
          changed();
        });
      }
    }
    for (const [name, module] of desired) {
      const list = units.get(name) ?? [];
      for (let index = 0; index < module.instances; index += 1) {
        if (!list.some((unit) => unit.index === index)) list.push(makeUnit(name, index));
      }
      units.set(name, list.sort((a, b) => a.index - b.index));
    }
  };

  const openUnits = (): void => {
    fitUnits();
    if (!serves()) return;
    for (const [name, list] of units) {
      const count = desired.get(name)?.instances ?? 0;
      for (const unit of list) if (unit.index < count) unit.start();
    }
  };

  const openPlaces = (plan: ZoneBlueprint): OpenPlace[] =>
    [...desired.values()].flatMap((module) =>
      (units.get(module.name) ?? [])
        .filter((unit) => unit.state().kind === 'stopped' && unit.state().attempt === 0)
        .map(({ index }) => ({
          module: module.name, index, digest: module.digest, generation: module.generation,
          configDigest: module.configDigest, specDigest: specDigestOf(plan, module),
        })),
    );

  const specDigestOf = (plan: ZoneBlueprint, module: DesiredModule): string => {
    try {
      return plan.template(module.resources).specDigest;
    } catch (thrown) {
      // A module whose limits can no longer be met fits no container; its unit says why when it starts.
      log.warn('a module does not fit its zone', { module: module.name, reason: toKernelError(thrown).message });
      return '';
    }
  };

  /**
   * Adopts and removes by plan, then clears directories and records that belong to nothing. What is on disk is
   * read BEFORE the engine is asked and before the known ids are: an instance that is being made meanwhile, in
   * this zone or the other, is then known or was not seen.
   */
  const reconcile = async (plan: ZoneBlueprint, signal: AbortSignal): Promise<void> => {
    const directories = await readdir(ports.instances.instancesDir);
    const { records, damaged } = await ports.instances.records.readAll();
    const containers = await engine.list(ports.home, signal);
    const actions = planAdoption({ zone, containers, records, known: ports.known(), places: openPlaces(plan) });
    for (const action of actions) {
      if (action.kind === 'adopt') adopt(action.facts, action.record);
      else await removeOrphan(action.facts, action.reason, signal);
    }
    for (const file of damaged) await rm(file, { force: true });
    const removed = new Set(actions.flatMap((action) => (action.kind === 'remove' ? [action.facts.container] : [])));
    const present = new Set<string>(ports.known());
    for (const facts of containers) if (facts.instance !== null && !removed.has(facts.container)) present.add(facts.instance);
    for (const id of new Set<string>([...directories, ...records.keys()])) {
      if (present.has(id)) continue;
      await rm(join(ports.instances.instancesDir, id), { recursive: true, force: true });
      if (records.has(id as InstanceId)) ports.instances.records.remove(id as InstanceId);
    }
  };

  const adopt = (facts: ContainerFacts, record: InstanceRecord): void => {
    const unit = units.get(record.module as ModuleName)?.find(({ index }) => index === record.index);
    ports.report({
      kind: 'instance.adopted', severity: 'info', zone, module: record.module, instance: record.instance,
      reason: 'found running with a complete record',
    });
    unit?.adopt(facts, record.restarts);
  };

  const removeOrphan = async (facts: ContainerFacts, reason: string, signal: AbortSignal): Promise<void> => {
    ports.report({
      kind: 'container.swept', severity: 'warn', zone, reason, code: 'orphaned',
      ...(facts.instance === null ? {} : { instance: facts.instance }), details: { container: facts.container },
    });
    await engine.remove(facts.container, signal);
  };

  const prepare = async (attempt: number): Promise<void> => {
    const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(ports.config().lifecycle.componentTimeoutMs)]);
    try {
      blueprint = await ports.preparation.resolve(zone, signal);
      fitUnits();
      await reconcile(blueprint, signal);
      probe = await ports.preparation.probe(blueprint, signal);
      if (!probe.passed) {
        const failed = probe.checks.filter((check) => !check.passed).map(({ name }) => name);
        throw new KernelError('ISOLATION_INCOMPLETE', `the probe was not refused: ${failed.join(', ')}`, { context: { failed } });
      }
      actor.send({ kind: 'prepared', attempt });
    } catch (thrown) {
      if (ended.signal.aborted) return;
      const error = toKernelError(thrown, 'ENGINE_FAILED');
      log.error('the zone cannot be made ready', { code: error.code, reason: error.message, error });
      actor.send({ kind: 'prepareFailed', attempt, code: error.code, reason: error.message, retry: error.code !== 'ISOLATION_INCOMPLETE' });
    }
  };

  const drainUnits = async (attempt: number): Promise<void> => {
    const all = allUnits();
    for (const unit of all) unit.stop();
    await Promise.all(all.map((unit) => unit.stopped()));
    actor.send({ kind: 'drained', attempt });
  };

  const execute = (effect: ZoneEffect): void => {
    switch (effect.kind) {
      case 'prepare':
        void prepare(effect.attempt);
        return;
      case 'openUnits':
        return openUnits();
      case 'drainUnits':
        void drainUnits(effect.attempt);
        return;
      case 'setRetry':
        cancelRetry();
        cancelRetry = clock.after(ZONE_RETRY_MS, () => actor.send({ kind: 'retryElapsed', attempt: effect.attempt }));
        return;
    }
  };

  return {
    zone,
    state: actor.state,
    send: actor.send,
    blueprint: () => blueprint,
    probe: () => probe,
    units: () => units,
    desired: () => desired,
    instances,
    setDesired: (modules) => {
      const before = new Map(desired);
      desired.clear();
      for (const module of modules) desired.set(module.name, module);
      openUnits();
      for (const [name, module] of desired) {
        const old = before.get(name);
        if (old === undefined || sameInstances(old, module) || !serves()) continue;
        for (const unit of units.get(name) ?? []) unit.replace();
      }
      changed();
    },
    restartModule: (module) => {
      if (!serves()) throw new KernelError('ZONE_UNAVAILABLE', `zone ${zone} is ${actor.state().kind}`);
      for (const unit of units.get(module) ?? []) unit.replace();
    },
    checkExits: () => {
      for (const instance of instances()) instance.checkExit();
    },
    sweep: async (signal) => {
      if (blueprint !== null && serves()) await reconcile(blueprint, signal);
    },
    moduleStopped: async (module) => {
      await Promise.all((units.get(module) ?? []).map((unit) => unit.stopped()));
    },
    release: async () => {
      ended.abort();
      cancelRetry();
      await Promise.all(allUnits().map((unit) => unit.release()));
    },
  };
};
