/**
 * The zones of one kernel: what the daemon sees of them. Holds the two zone runtimes, the user buses, the call
 * router and the watch on the engine.
 */
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import { ZONE_NAMES, type InstanceId, type ModuleName, type ZoneName } from '../../Kernel/contract/ids.ts';
import type { EngineFacts } from '../../Kernel/contract/ports.ts';
import { zoneReason } from './views.ts';
import { watchEngine, type EngineWatch } from './engine-watch.ts';
import type { DesiredModule } from './desired.ts';
import { createRouter, type CallOptions, type RoutedModule } from './router.ts';
import { createZoneRuntime, type ZoneRuntime, type ZoneRuntimePorts } from './zone-runtime.ts';

/** How often containers that nothing here holds are looked for. */
const SWEEP_INTERVAL_MS = 60_000;

export type SupervisorPorts = Omit<ZoneRuntimePorts, 'onChange' | 'known'> & {
  readonly engineHost: string;
  /** Ids of probes in progress: their containers and directories are nobody's orphans. */
  readonly probing: () => ReadonlySet<InstanceId>;
  /** Anything changed that `status` shows. */
  readonly onChange: (zone: ZoneName) => void;
};

export type Supervisor = {
  readonly zones: ReadonlyMap<ZoneName, ZoneRuntime>;
  readonly engine: () => {
    readonly state: 'reachable' | 'unreachable' | 'unknown';
    readonly facts: EngineFacts | null;
    readonly reason: string | null;
  };
  /** Begins to watch the engine. Zones start by `startZone`. */
  readonly open: () => void;
  readonly setDesired: (modules: readonly DesiredModule[]) => void;
  readonly find: (module: string) => (RoutedModule & { readonly zone: ZoneRuntime }) | null;
  readonly call: (module: string, name: string, params: unknown, options: CallOptions) => Promise<unknown>;
  readonly waitingCalls: () => number;
  readonly startZone: (zone: ZoneName) => void;
  readonly stopZone: (zone: ZoneName, reason: string) => void;
  readonly restartZone: (zone: ZoneName) => void;
  /** Resolves when a zone has come to rest: ready, degraded, stopped or failed. */
  readonly settled: (zone: ZoneName, signal: AbortSignal) => Promise<void>;
  /** Ends the zones (`stop`) or lets go of them, so that another kernel adopts what runs (`leave`). */
  readonly close: (policy: 'stop' | 'leave', signal: AbortSignal) => Promise<void>;
};

const atRest = (zone: ZoneRuntime): boolean => {
  const { kind } = zone.state();
  if (kind === 'starting' || kind === 'stopping') return false;
  if (kind === 'stopped' || kind === 'failed') return true;
  // Ready for the zone is ready for its modules: each unit has had its first answer, good or bad.
  return [...zone.units().values()].flat().every((unit) => {
    const state = unit.state();
    // A place that is wanted and was never filled is about to be.
    if (state.kind === 'stopped') return unit.index >= (zone.desired().get(unit.module)?.instances ?? 0);
    return state.kind !== 'stopping' && (state.kind !== 'starting' || state.history.failures > 0);
  });
};

export const createSupervisor = (ports: SupervisorPorts): Supervisor => {
  const { clock, engine, log } = ports.instances;
  const listeners = new Set<() => void>();
  const ended = new AbortController();
  let cancelSweep = (): void => undefined;

  const known = (): ReadonlySet<InstanceId> => {
    const ids = new Set(ports.probing());
    for (const zone of zones.values()) for (const instance of zone.instances()) ids.add(instance.id);
    return ids;
  };

  const onChange = (zone: ZoneName): void => {
    watchTiers(zone);
    router.wake();
    for (const listener of [...listeners]) listener();
    ports.onChange(zone);
  };

  const zones: ReadonlyMap<ZoneName, ZoneRuntime> = new Map(
    ZONE_NAMES.map((zone) => [zone, createZoneRuntime({ ...ports, known, onChange }, zone)]),
  );
  const zoneOf = (zone: ZoneName): ZoneRuntime => zones.get(zone)!;

  const find = (module: string): (RoutedModule & { readonly zone: ZoneRuntime }) | null => {
    for (const zone of zones.values()) {
      const desired = zone.desired().get(module as ModuleName);
      if (desired === undefined) continue;
      const state = zone.state();
      const zoneComing = state.kind === 'starting' || (state.kind === 'stopping' && state.restart);
      const serves = state.kind === 'ready' || state.kind === 'degraded';
      const zoneFault = serves ? null : `zone ${zone.zone} is ${state.kind}: ${zoneReason(state) ?? 'not there yet'}`;
      return { zone, desired, units: zone.units().get(desired.name) ?? [], zoneComing, zoneFault };
    }
    return null;
  };

  const router = createRouter({ clock, find, defaultTimeoutMs: () => ports.config().instances.callTimeoutMs });

  /** A zone is degraded by the failure of a module it cannot do without, never by that of any other (H8). */
  const watchTiers = (name: ZoneName): void => {
    const zone = zones.get(name);
    if (zone === undefined) return;
    for (const [module, desired] of zone.desired()) {
      if (desired.tier !== 'core' && desired.tier !== 'critical') continue;
      const quarantined = (zone.units().get(module) ?? []).some((unit) => unit.state().kind === 'quarantined');
      const key = `module:${module}`;
      const state = zone.state();
      const raised = state.kind === 'degraded' && key in state.faults;
      if (quarantined && !raised && state.kind === 'ready')
        zone.send({ kind: 'faultRaised', key, reason: `${desired.tier} module ${module} is in quarantine` });
      if (!quarantined && raised) zone.send({ kind: 'faultCleared', key });
    }
  };

  const watch: EngineWatch = watchEngine({
    engine,
    clock,
    log,
    home: ports.home,
    settings: () => ports.config().engine,
    onReachable: (facts) => {
      ports.report({ kind: 'engine.reachable', severity: 'info', reason: `engine ${facts.version} answers` });
      for (const zone of zones.values()) {
        zone.send({ kind: 'faultCleared', key: 'engine' });
        zone.checkExits();
      }
      void sweep();
    },
    onUnreachable: (reason) => {
      ports.report({ kind: 'engine.unreachable', severity: 'error', code: 'ENGINE_UNREACHABLE', reason });
      for (const zone of zones.values())
        zone.send({ kind: 'faultRaised', key: 'engine', reason: `the engine does not answer: ${reason}` });
    },
    onDied: (container) => {
      for (const zone of zones.values()) {
        for (const instance of zone.instances()) if (instance.container() === container) instance.checkExit();
      }
    },
    onChange: () => {
      for (const zone of ZONE_NAMES) onChange(zone);
    },
  });

  const sweep = async (): Promise<void> => {
    for (const zone of zones.values()) {
      try {
        await zone.sweep(
          AbortSignal.any([ended.signal, AbortSignal.timeout(ports.config().lifecycle.componentTimeoutMs)]),
        );
      } catch (thrown) {
        log.warn('the sweep did not finish', { zone: zone.zone, reason: toKernelError(thrown).message });
      }
    }
  };
  const scheduleSweep = (): void => {
    cancelSweep = clock.after(SWEEP_INTERVAL_MS, () => void sweep().finally(scheduleSweep));
  };

  const until = (condition: () => boolean, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!condition() && !signal.aborted) return;
        listeners.delete(look);
        signal.removeEventListener('abort', look);
        if (condition()) resolve();
        else reject(new KernelError('DEADLINE_EXCEEDED', 'it did not come to rest in time', { cause: signal.reason }));
      };
      listeners.add(look);
      signal.addEventListener('abort', look, { once: true });
      look();
    });

  return {
    zones,
    engine: watch.status,
    open: () => {
      watch.open();
      scheduleSweep();
    },
    setDesired: (modules) => {
      // A module that moved drains in its old zone while it starts in the new one; calls go to the new one only.
      for (const zone of zones.values()) zone.setDesired(modules.filter((module) => module.zone === zone.zone));
    },
    find,
    call: router.call,
    waitingCalls: router.waiting,
    startZone: (zone) => zoneOf(zone).send({ kind: 'startRequested' }),
    stopZone: (zone, reason) => zoneOf(zone).send({ kind: 'stopRequested', reason }),
    restartZone: (zone) => zoneOf(zone).send({ kind: 'restartRequested' }),
    settled: (zone, signal) => until(() => atRest(zoneOf(zone)), signal),
    close: async (policy, signal) => {
      cancelSweep();
      try {
        if (policy === 'stop') {
          for (const zone of zones.values()) zone.send({ kind: 'stopRequested', reason: 'the kernel stops' });
          await until(() => [...zones.values()].every((zone) => zone.state().kind === 'stopped'), signal);
        }
      } finally {
        ended.abort();
        await watch.close();
        await Promise.all([...zones.values()].map((zone) => zone.release()));
      }
    },
  };
};

export type { ZoneRuntime } from './zone-runtime.ts';
