/** One handler for each declared operation (DESIGN section 2, idea 2). A missing one does not compile. */
import pidusage from 'pidusage';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { ZoneName } from '../../Kernel/contract/ids.ts';
import type { HomePaths } from '../../Kernel/contract/paths.ts';
import type { Clock, EnginePort } from '../../Kernel/contract/ports.ts';
import type { OperationResult } from '../../Kernel/contract/operations/index.ts';
import type { EventBus } from '../../Kernel/core/event-bus/event-bus.ts';
import type { Handlers, KernelMode, OperationContext } from '../../Kernel/gate/call.ts';
import { reasonOf, type Kernel } from '../../Kernel/lifecycle/kernel.runner.ts';
import type { Supervisor, ZoneRuntime } from '../../zones/supervisor/supervisor.ts';
import { inspectZone, zoneReason, zoneRow } from '../../zones/supervisor/views.ts';
import type { OutputLog } from '../adapters/output-log.ts';
import type { ConfigState } from './config-state.ts';
import { DISABLED, examine } from './doctor.ts';
import type { ModuleRegistry } from './module-registry.ts';
import type { Uploads } from './uploads.ts';

/** What stands once the kernel is composed; parts that a component opens are asked for when they are used. */
export type HandlerPorts = {
  readonly version: string;
  readonly paths: HomePaths;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly configState: ConfigState;
  readonly uploads: Uploads;
  readonly engine: () => EnginePort;
  readonly engineHost: () => string;
  readonly kernel: () => Kernel;
  readonly mode: () => KernelMode;
  /** @throws KernelError `UNAVAILABLE` before the component is up */
  readonly supervisor: () => Supervisor;
  readonly supervisorIfUp: () => Supervisor | null;
  readonly modules: () => ModuleRegistry;
  readonly modulesIfUp: () => ModuleRegistry | null;
  readonly output: () => OutputLog;
  readonly uidConflicts: () => Promise<readonly string[]>;
  readonly figures: () => Readonly<Record<string, unknown>>;
};

type ZoneResult = OperationResult<'zone.start'>;

const zoneEnabled = (ports: HandlerPorts, zone: ZoneName): boolean => ports.configState.config().zones[zone].enabled;

/** A zone that nobody starts says so, and not that it was not started yet. */
const reasonOfZone = (ports: HandlerPorts, zone: ZoneRuntime): string | null =>
  zone.state().kind === 'stopped' && !zoneEnabled(ports, zone.zone) ? DISABLED : zoneReason(zone.state());

const zoneResult = (zone: ZoneRuntime): ZoneResult => ({
  zone: zone.zone,
  state: zone.state().kind,
  reason: zoneReason(zone.state()),
});

const status = (ports: HandlerPorts): OperationResult<'kernel.status'> => {
  const kernel = ports.kernel();
  const supervisor = ports.supervisorIfUp();
  const engine = supervisor?.engine() ?? { state: 'unknown' as const, facts: null };
  return {
    mode: ports.mode(),
    reason: reasonOf(kernel.state()),
    version: ports.version,
    pid: process.pid,
    bootMs: kernel.bootMs(),
    home: ports.paths.state,
    uptimeMs: Math.round(process.uptime() * 1000),
    engine: { state: engine.state, host: ports.engineHost(), version: engine.facts?.version ?? null },
    zones: [...(supervisor?.zones.values() ?? [])].map((zone) => ({
      ...zoneRow(zone),
      reason: reasonOfZone(ports, zone),
    })),
    modules: ports.modulesIfUp()?.rows() ?? [],
  };
};

const health = (ports: HandlerPorts): OperationResult<'kernel.health'> => {
  const mode = ports.mode();
  const reason = reasonOf(ports.kernel().state());
  return { ok: mode === 'running' || mode === 'degraded', mode, reasons: reason === null ? [] : [reason] };
};

const diagnostics = async (ports: HandlerPorts): Promise<Record<string, unknown>> => {
  const usage = await pidusage(process.pid);
  const supervisor = ports.supervisorIfUp();
  return {
    mode: ports.mode(),
    process: {
      pid: process.pid,
      cpuPercent: usage.cpu,
      rssBytes: usage.memory,
      node: process.version,
      v8: process.versions.v8,
    },
    resources: process
      .getActiveResourcesInfo()
      .reduce<Record<string, number>>((counts, kind) => ({ ...counts, [kind]: (counts[kind] ?? 0) + 1 }), {}),
    waitingCalls: supervisor?.waitingCalls() ?? 0,
    bus: ports.events.figures(),
    ...ports.figures(),
  };
};

const zoneOf = (ports: HandlerPorts, name: ZoneName): ZoneRuntime => {
  const zone = ports.supervisor().zones.get(name);
  if (zone === undefined) throw new KernelError('ZONE_NOT_FOUND', `there is no zone ${name}`);
  return zone;
};

/** Sends a zone somewhere and waits until it has come to rest there. */
const steerZone = async (
  ports: HandlerPorts,
  name: ZoneName,
  ctx: OperationContext,
  steer: (supervisor: Supervisor) => void,
): Promise<ZoneResult> => {
  const supervisor = ports.supervisor();
  if (ports.mode() === 'booting' || ports.mode() === 'handover') {
    throw new KernelError('CONFLICT', 'the kernel is still coming up', { retryAfterMs: 500 });
  }
  steer(supervisor);
  await supervisor.settled(name, ctx.signal);
  const zone = zoneOf(ports, name);
  const state = zone.state();
  if (state.kind === 'failed') throw new KernelError(state.code, state.reason, { context: { zone: name } });
  return zoneResult(zone);
};

export const createHandlers = (ports: HandlerPorts): Handlers => ({
  'kernel.status': async () => status(ports),
  'kernel.health': async () => health(ports),
  'kernel.diagnostics': async () => diagnostics(ports),
  'kernel.doctor': async (_, ctx) =>
    examine(
      {
        engine: ports.engine(),
        engineHost: ports.engineHost(),
        paths: ports.paths,
        supervisor: ports.supervisor(),
        clock: ports.clock,
        brokenModules: () =>
          (ports.modulesIfUp()?.rows() ?? [])
            .filter(({ phase }) => phase === 'broken')
            .map(({ name, reason }) => ({ name, reason: reason ?? '' })),
        uidConflicts: ports.uidConflicts,
        zoneEnabled: (zone) => zoneEnabled(ports, zone),
      },
      ctx.signal,
    ),
  'event.follow': ({ follow, limit }, ctx) => ports.events.follow({ follow, limit, signal: ctx.signal }),

  'zone.list': async () =>
    [...ports.supervisor().zones.values()].map((zone) => ({
      name: zone.zone,
      state: zone.state().kind,
      reason: reasonOfZone(ports, zone),
      instances: zone.instances().length,
      modules: zone.desired().size,
      memoryBytes: ports.configState.config().zones[zone.zone].memoryBytes,
      cpus: ports.configState.config().zones[zone.zone].cpus,
    })),
  'zone.inspect': async ({ zone: name }, ctx) => {
    const zone = zoneOf(ports, name);
    const seen = await inspectZone(
      zone,
      ports.configState.config().zones[name],
      { clock: ports.clock, engine: ports.engine() },
      ctx.signal,
    );
    return { ...seen, reason: reasonOfZone(ports, zone) };
  },
  'zone.start': async ({ zone }, ctx) => {
    if (!zoneEnabled(ports, zone)) {
      throw new KernelError('ZONE_UNAVAILABLE', `zone ${zone} is disabled`, {
        remedy: `Set zones.${zone}.enabled in kernel.yaml.`,
      });
    }
    return steerZone(ports, zone, ctx, (supervisor) => supervisor.startZone(zone));
  },
  'zone.stop': async ({ zone }, ctx) =>
    steerZone(ports, zone, ctx, (supervisor) => supervisor.stopZone(zone, `stopped by ${ctx.principal.name}`)),
  'zone.restart': async ({ zone }, ctx) => {
    await ports.modules().refresh();
    return steerZone(ports, zone, ctx, (supervisor) => supervisor.restartZone(zone));
  },

  'module.list': async () => ports.modules().list(),
  'module.show': async ({ module }) => ports.modules().show(module),
  'module.call': async (params, ctx) => {
    const reason = ports.modules().whyBroken(params.module);
    if (reason !== null) throw new KernelError('MODULE_UNAVAILABLE', `${params.module} cannot run: ${reason}`);
    return ports
      .supervisor()
      .call(params.module, params.function, params.params, { timeoutMs: params.timeoutMs, signal: ctx.signal });
  },
  'upload.open': async ({ bytes, sha256 }) => ({ upload: ports.uploads.open(bytes, sha256) }),
  'upload.write': async ({ upload, offset, base64 }) => ({ received: ports.uploads.write(upload, offset, base64) }),
  'module.install': async ({ upload, zone }, ctx) =>
    ports.modules().install(ports.uploads.take(upload), zone, ctx.principal.name, ctx.signal),
  'module.restart': async ({ module }, ctx) => ports.modules().restart(module, ctx.signal),
  'module.remove': async ({ module }, ctx) => ({ module, removed: await ports.modules().remove(module, ctx.signal) }),
  'module.logs': ({ module, follow, limit }, ctx) => {
    ports.modules().show(module);
    return ports.output().follow(module, { follow, limit, signal: ctx.signal });
  },

  'config.check': async (_, ctx) => ports.configState.check(ctx.signal),
  'config.show': async () => ports.configState.show(),
  'config.reload': (_, ctx) => ports.configState.reload(ctx.signal),
});
