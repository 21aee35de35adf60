/** Turns values as written into values to work with: percentages and `auto` become amounts. Pure. */
import type { EffectiveConfig, PoolConfig, ZoneConfig } from '../Kernel/contract/effective-config.ts';
import type { ZoneName } from '../Kernel/contract/ids.ts';
import type { KernelFile } from './kernel.schema.ts';
import type { Share } from './setting-kinds.table.ts';

/** What the machine has. */
export type MachineFacts = { readonly memoryBytes: number; readonly cpus: number };

const MIB = 1024 * 1024;
/** What `pool.memory: auto` leaves to the machine: this, or a quarter where that is smaller. */
const RESERVE_BYTES = 512 * MIB;
/** What `pool.cpus: auto` takes of the machine. */
const AUTO_CPUS = 0.9;

/** Whole MiB, so that the number can be written and compared. */
const wholeMiB = (bytes: number): number => Math.floor(bytes / MIB) * MIB;
/** Whole hundredths of a core; the addition keeps 1.8 x 60 % from becoming 1.07. */
const hundredths = (cpus: number): number => Math.floor(cpus * 100 + 1e-6) / 100;

const memoryOf = (share: Share, whole: number, auto: number): number => {
  switch (share.kind) {
    case 'exact':
      return share.amount;
    case 'percent':
      return wholeMiB((whole * share.percent) / 100);
    case 'auto':
      return wholeMiB(auto);
  }
};
const cpusOf = (share: Share, whole: number, auto: number): number => {
  switch (share.kind) {
    case 'exact':
      return share.amount;
    case 'percent':
      return hundredths((whole * share.percent) / 100);
    case 'auto':
      return hundredths(auto);
  }
};

const resolveZone = (zone: KernelFile['zones'][ZoneName], pool: PoolConfig): ZoneConfig => {
  const cpus = cpusOf(zone.cpus, pool.cpus, pool.cpus);
  return {
    enabled: zone.enabled,
    memoryBytes: memoryOf(zone.memory, pool.memoryBytes, pool.memoryBytes),
    cpus,
    maxInstances: zone.maxInstances,
    image: zone.image,
    runtime: zone.runtime,
    seccomp: zone.seccomp,
    instance: {
      memoryBytes: zone.instance.memory,
      cpus: cpusOf(zone.instance.cpus, cpus, cpus),
      pids: zone.instance.pids,
      nofile: zone.instance.nofile,
      tmpBytes: zone.instance.tmp,
      moduleTmpBytes: zone.instance.moduleTmp,
    },
  };
};

/** The configuration that a file means on a machine. */
export const resolveConfig = (file: KernelFile, machine: MachineFacts): EffectiveConfig => {
  const { instances, restart, wire, bus, logs, lifecycle, engine } = file;
  const spare = machine.memoryBytes - Math.min(RESERVE_BYTES, machine.memoryBytes / 4);
  const pool = {
    memoryBytes: memoryOf(file.pool.memory, machine.memoryBytes, spare),
    cpus: cpusOf(file.pool.cpus, machine.cpus, machine.cpus * AUTO_CPUS),
  };
  return {
    pool,
    zones: { stable: resolveZone(file.zones.stable, pool), sandbox: resolveZone(file.zones.sandbox, pool) },
    instances: {
      uidRange: { first: instances.uidRange.first, last: instances.uidRange.last },
      startTimeoutMs: instances.startTimeout,
      assignTimeoutMs: instances.assignTimeout,
      callTimeoutMs: instances.callTimeout,
      drainTimeoutMs: instances.drainTimeout,
      orphanTimeoutMs: instances.orphanTimeout,
      reconnectTimeoutMs: instances.reconnectTimeout,
      heartbeat: { intervalMs: instances.heartbeat.interval, limitMs: instances.heartbeat.limit },
    },
    restart: {
      backoff: {
        initialMs: restart.backoff.initial,
        maxMs: restart.backoff.max,
        factor: restart.backoff.factor,
        jitter: restart.backoff.jitter,
      },
      stableAfterMs: restart.stableAfter,
      intensity: { restarts: restart.intensity.restarts, windowMs: restart.intensity.window },
    },
    wire: {
      agent: {
        maxFrameBytes: wire.agent.maxFrame,
        maxDepth: wire.agent.maxDepth,
        framesPerSecond: wire.agent.framesPerSecond,
        bytesPerSecond: wire.agent.bytesPerSecond,
        maxInFlight: wire.agent.maxInFlight,
      },
      operator: {
        maxFrameBytes: wire.operator.maxFrame,
        maxConnections: wire.operator.maxConnections,
        maxInFlight: wire.operator.maxInFlight,
      },
    },
    bus: {
      maxTopicBytes: bus.maxTopic,
      maxPayloadBytes: bus.maxPayload,
      messagesPerSecond: bus.messagesPerSecond,
      maxSubscriptions: bus.maxSubscriptions,
      queueLength: bus.queueLength,
    },
    logs: {
      level: logs.level,
      module: {
        maxFileBytes: logs.module.maxFile,
        files: logs.module.files,
        bytesPerSecond: logs.module.bytesPerSecond,
      },
    },
    control: { group: file.control.group },
    lifecycle: {
      onTerminate: lifecycle.onTerminate,
      componentTimeoutMs: lifecycle.componentTimeout,
      drainTimeoutMs: lifecycle.drainTimeout,
    },
    engine: { host: engine.host, pingIntervalMs: engine.pingInterval, timeoutMs: engine.timeout },
    // Without a prototype: a module may be named `constructor`.
    modules: Object.assign(
      Object.create(null) as Record<string, { readonly config: unknown }>,
      Object.fromEntries(Object.entries(file.modules).map(([name, module]) => [name, { config: module.config ?? {} }])),
    ),
  };
};
