/** The units of one zone: makes them, keeps their number as desired, and admits what they start. */
import type { EffectiveConfig } from '../../Kernel/contract/effective-config.ts';
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import { parseInstanceId, type ModuleName, type ZoneName } from '../../Kernel/contract/ids.ts';
import type { Log, Random } from '../../Kernel/contract/ports.ts';
import { decideAdmission } from '../../Kernel/core/resource-governor/admission.verdict.ts';
import type { Assignment, Instance, InstancePorts, SpecTemplate } from '../instance/instance.ports.ts';
import { startInstance } from '../instance/instance.runner.ts';
import { createUnit, type Report, type Unit } from '../unit/unit.runner.ts';
import type { ZoneBlueprint } from '../zone/zone-blueprint.ts';
import type { OpenPlace } from './adoption.plan.ts';
import type { DesiredModule } from './desired.ts';

export type ZoneUnitsPorts = {
  readonly zone: ZoneName;
  readonly instances: InstancePorts;
  readonly random: Random;
  readonly log: Log;
  readonly config: () => EffectiveConfig;
  readonly report: Report;
  readonly desired: ReadonlyMap<ModuleName, DesiredModule>;
  readonly blueprint: () => ZoneBlueprint | null;
  /** Image and probe are in order: user code may start. */
  readonly serves: () => boolean;
  readonly onChange: () => void;
};

export type ZoneUnits = {
  readonly byModule: () => ReadonlyMap<ModuleName, readonly Unit[]>;
  readonly all: () => readonly Unit[];
  readonly instances: () => readonly Instance[];
  /** Brings the number of units to what is desired; those too many stop, and go when no container of them is left. */
  readonly fit: () => void;
  /** Asks every wanted unit to run. */
  readonly open: () => void;
  /** Replaces the instances of a module. Units that are too many stay on their way out: this must not bring them back. */
  readonly replace: (module: ModuleName) => void;
  /** Places in which nothing was ever started: only there may a running container be adopted. */
  readonly openPlaces: (blueprint: ZoneBlueprint) => readonly OpenPlace[];
};

const assignmentOf = (module: DesiredModule, index: number, restarts: number): Assignment => ({
  zone: module.zone,
  module: module.name,
  index,
  generation: module.generation,
  version: module.version,
  digest: module.digest,
  configDigest: module.configDigest,
  restarts,
  bus: module.bus,
  health: module.health,
  loadPayload: module.loadPayload,
});

export const createZoneUnits = (ports: ZoneUnitsPorts): ZoneUnits => {
  const { zone, log, desired } = ports;
  const units = new Map<ModuleName, Unit[]>();
  const all = (): Unit[] => [...units.values()].flat();
  const instances = (): Instance[] => all().flatMap((unit) => unit.instances());
  const wantedCount = (name: ModuleName): number => desired.get(name)?.instances ?? 0;

  const wanted = (name: ModuleName): { readonly module: DesiredModule; readonly spec: SpecTemplate } => {
    const module = desired.get(name);
    const blueprint = ports.blueprint();
    if (module === undefined || blueprint === null) {
      throw new KernelError('ZONE_UNAVAILABLE', `zone ${zone} is not ready for ${name}`);
    }
    return { module, spec: blueprint.template(module.resources) };
  };

  const admit = (spec: SpecTemplate): void => {
    const { memoryBytes, maxInstances } = ports.config().zones[zone];
    const held = instances()
      .filter((instance) => instance.state().kind !== 'killing' && instance.state().kind !== 'gone')
      .map((instance) => ({ memoryBytes: instance.spec.memoryBytes }));
    const verdict = decideAdmission({ memoryBytes, maxInstances }, held, { memoryBytes: spec.memoryBytes });
    if (verdict.admitted) return;
    throw new KernelError('ADMISSION_REFUSED', verdict.reason, {
      context: { zone, askedBytes: verdict.askedBytes, freeBytes: verdict.freeBytes },
      retryAfterMs: 1_000,
    });
  };

  const makeUnit = (name: ModuleName, index: number): Unit =>
    createUnit(
      {
        clock: ports.instances.clock,
        random: ports.random,
        log,
        report: ports.report,
        onChange: ports.onChange,
        policy: () => ports.config().restart,
        siblingDeaths: () =>
          (units.get(name) ?? [])
            .filter((unit) => unit.index !== index)
            .reduce((sum, unit) => sum + unit.recentDeaths(), 0),
        makeInstance: ({ restarts }, owner) => {
          // An adopted instance may end before the probe of this start has passed: until then nothing new starts.
          if (!ports.serves()) throw new KernelError('ZONE_UNAVAILABLE', `zone ${zone} is not ready for ${name}`);
          const { module, spec } = wanted(name);
          admit(spec);
          const id = parseInstanceId(`i-${ports.random.hex(6)}`);
          return startInstance(ports.instances, { id, assignment: assignmentOf(module, index, restarts), spec, owner });
        },
        takeOver: (facts, restarts, owner) => {
          const { module, spec } = wanted(name);
          ports.instances.uids.hold(facts.uid!);
          const assignment = assignmentOf(module, index, restarts);
          return startInstance(ports.instances, { id: facts.instance!, assignment, spec, owner, adopted: facts });
        },
      },
      { zone, module: name, index },
    );

  const retire = async (unit: Unit): Promise<void> => {
    unit.stop();
    await unit.stopped();
    // Wanted again meanwhile: then it was started again, and stays.
    if (unit.index < wantedCount(unit.module)) return;
    const rest = (units.get(unit.module) ?? []).filter((other) => other !== unit);
    if (rest.length === 0) units.delete(unit.module);
    else units.set(unit.module, rest);
    ports.onChange();
  };

  const specDigestOf = (blueprint: ZoneBlueprint, module: DesiredModule): string => {
    try {
      return blueprint.template(module.resources).specDigest;
    } catch (thrown) {
      // A module whose limits can no longer be met fits no container; its unit says why when it starts.
      log.warn('a module does not fit its zone', { module: module.name, reason: toKernelError(thrown).message });
      return '';
    }
  };

  return {
    byModule: () => units,
    all,
    instances,
    fit: () => {
      for (const unit of all()) if (unit.index >= wantedCount(unit.module)) void retire(unit);
      for (const [name, module] of desired) {
        const list = units.get(name) ?? [];
        for (let index = 0; index < module.instances; index += 1) {
          if (!list.some((unit) => unit.index === index)) list.push(makeUnit(name, index));
        }
        units.set(
          name,
          list.toSorted((a, b) => a.index - b.index),
        );
      }
    },
    open: () => {
      for (const unit of all()) if (unit.index < wantedCount(unit.module)) unit.start();
    },
    replace: (module) => {
      for (const unit of units.get(module) ?? []) if (unit.index < wantedCount(module)) unit.replace();
    },
    openPlaces: (blueprint) =>
      [...desired.values()].flatMap((module) =>
        (units.get(module.name) ?? [])
          .filter((unit) => unit.state().kind === 'stopped' && unit.state().attempt === 0)
          .map(({ index }) => ({
            module: module.name,
            index,
            digest: module.digest,
            generation: module.generation,
            configDigest: module.configDigest,
            specDigest: specDigestOf(blueprint, module),
          })),
      ),
  };
};
