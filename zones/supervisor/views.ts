/** What people see of zones, units and instances: rows of `status`, `zone inspect` and `module show`. */
import type { ZoneConfig } from '../../Kernel/contract/effective-config.ts';
import { toKernelError } from '../../Kernel/contract/errors.ts';
import type { ModulePhase, Status, ZoneInspect } from '../../Kernel/contract/operations/shapes.ts';
import type { Clock, EnginePort } from '../../Kernel/contract/ports.ts';
import type { Instance } from '../instance/instance.ports.ts';
import type { Unit } from '../unit/unit.runner.ts';
import type { ZoneState } from '../zone/zone.machine.ts';
import type { ZoneRuntime } from './zone-runtime.ts';

type InstanceRow = Status['zones'][number]['instances'][number];

/** Why a zone is in its state; null when it is as it should be. */
export const zoneReason = (state: ZoneState): string | null => {
  switch (state.kind) {
    case 'ready':
    case 'starting':
      return null;
    case 'degraded':
      return Object.values(state.faults).join('; ');
    case 'stopped':
    case 'stopping':
      return state.reason;
    case 'failed':
      return `${state.code}: ${state.reason}${state.remedy === null ? '' : ` (${state.remedy})`}`;
  }
};

const unitsOf = (zone: ZoneRuntime): Unit[] => [...zone.units().values()].flat();

const instanceRow = (unit: Unit, instance: Instance): InstanceRow => ({
  id: instance.id,
  module: unit.module,
  state: instance.state().kind,
  pid: instance.pid(),
  restarts: unit.restarts(),
});

export const instanceRows = (units: readonly Unit[]): InstanceRow[] =>
  units.flatMap((unit) => unit.instances().map((instance) => instanceRow(unit, instance)));

/** The phase of a module from the states of its units, the worst part deciding. */
export const modulePhase = (
  units: readonly Unit[],
  zoneFault: string | null,
): { readonly phase: ModulePhase; readonly reason: string | null } => {
  const states = units.map((unit) => unit.state());
  const count = (kind: string): number => states.filter((state) => state.kind === kind).length;
  const reasonOf = (kind: string): string | null => units.find((unit) => unit.state().kind === kind)?.reason() ?? null;
  const away = states.filter(
    (state) => state.kind === 'stopped' || (state.kind === 'stopping' && !state.restart),
  ).length;
  if (away === states.length) return { phase: 'stopped', reason: zoneFault ?? reasonOf('stopped') };
  if (count('running') === states.length) return { phase: 'running', reason: null };
  if (count('running') > 0) {
    const amiss = states.find((state) => state.kind !== 'running')!.kind;
    return {
      phase: 'degraded',
      reason: `${count('running')} of ${states.length} instances run; ${amiss}: ${reasonOf(amiss) ?? ''}`,
    };
  }
  if (count('quarantined') > 0) return { phase: 'quarantined', reason: reasonOf('quarantined') };
  if (count('backoff') > 0) return { phase: 'backoff', reason: reasonOf('backoff') };
  return { phase: 'starting', reason: null };
};

export const zoneRow = (zone: ZoneRuntime): Status['zones'][number] => ({
  name: zone.zone,
  state: zone.state().kind,
  reason: zoneReason(zone.state()),
  instances: instanceRows(unitsOf(zone)),
});

const instanceDetail = async (
  unit: Unit,
  instance: Instance,
  ports: { clock: Clock; engine: EnginePort },
  signal: AbortSignal,
) => {
  const container = instance.container();
  const startedAtMs = instance.startedAtMs();
  let isolation: unknown = null;
  if (container !== null && instance.state().kind !== 'gone') {
    try {
      isolation = await ports.engine.isolation(container, signal);
    } catch (thrown) {
      // An engine that is away hides this part only; the rest of the answer stands.
      isolation = { error: toKernelError(thrown).message };
    }
  }
  return {
    ...instanceRow(unit, instance),
    container,
    uid: instance.uid(),
    sizeClass: instance.spec.sizeClass,
    memoryBytes: instance.spec.memoryBytes,
    uptimeMs: startedAtMs === null ? null : Math.max(0, ports.clock.wallMs() - startedAtMs),
    isolation,
  };
};

/** Everything about a zone (K11). Asks the engine about each instance, within the signal. */
export const inspectZone = async (
  zone: ZoneRuntime,
  config: ZoneConfig,
  ports: { readonly clock: Clock; readonly engine: EnginePort },
  signal: AbortSignal,
): Promise<ZoneInspect> => {
  const blueprint = zone.blueprint();
  const units = unitsOf(zone);
  const pairs = units.flatMap((unit) => unit.instances().map((instance) => ({ unit, instance })));
  return {
    name: zone.zone,
    state: zone.state().kind,
    reason: zoneReason(zone.state()),
    image: blueprint?.image ?? null,
    runtime: config.runtime,
    limits: {
      memoryBytes: config.memoryBytes,
      cpus: config.cpus,
      maxInstances: config.maxInstances,
      instance: { ...config.instance },
    },
    used: {
      memoryBytes: pairs.reduce((sum, { instance }) => sum + instance.spec.memoryBytes, 0),
      cpus: Math.round(pairs.reduce((sum, { instance }) => sum + instance.spec.cpus, 0) * 100) / 100,
      instances: pairs.length,
    },
    seccomp: blueprint?.seccomp ?? { profile: config.seccomp ?? zone.zone, sha256: '', allowedSyscalls: 0 },
    probe: zone.probe(),
    instances: await Promise.all(pairs.map(({ unit, instance }) => instanceDetail(unit, instance, ports, signal))),
    units: units.map((unit) => {
      const state = unit.state();
      return {
        module: unit.module,
        index: unit.index,
        state: state.kind,
        restarts: unit.restarts(),
        reason: unit.reason(),
        nextStartInMs: state.kind === 'backoff' ? Math.max(0, state.untilMs - ports.clock.monotonicMs()) : null,
        lastExit: unit.lastExit(),
      };
    }),
  };
};
