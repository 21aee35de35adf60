/** Joins what the zones are made of; the part of `compose.ts` that needs a home and an engine. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { EffectiveConfig } from '../Kernel/contract/effective-config.ts';
import { ZONE_NAMES, type HomeId, type ZoneName } from '../Kernel/contract/ids.ts';
import type { LogLine } from '../Kernel/contract/operations/shapes.ts';
import type { HomePaths } from '../Kernel/contract/paths.ts';
import type { Clock, Log, Random } from '../Kernel/contract/ports.ts';
import type { DockerEngine } from '../zones/docker/docker-engine.ts';
import type { InstancePorts } from '../zones/instance/instance.ports.ts';
import { openInstanceRecords } from '../zones/instance/instance-record.ts';
import { createLaunchSlots } from '../zones/instance/launch-slots.ts';
import { createUidLeases } from '../zones/instance/uid-leases.ts';
import { createOpenLink } from '../zones/link/open-link.ts';
import { createSupervisor, type Supervisor, type SupervisorPorts } from '../zones/supervisor/supervisor.ts';
import type { UidClaim } from '../zones/uids/uid-lease.verdict.ts';
import { createUserBus, type UserBus } from '../zones/user-bus/user-bus.ts';
import { createZonePreparation } from '../zones/zone/prepare-zone.ts';

export type ComposeZonesOptions = {
  readonly home: HomeId;
  readonly engine: DockerEngine;
  readonly engineHost: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly paths: HomePaths;
  readonly config: () => EffectiveConfig;
  readonly projectDirectory: string;
  readonly claims: () => Promise<readonly UidClaim[]>;
  readonly appendOutput: (line: LogLine) => void;
  readonly report: SupervisorPorts['report'];
  readonly onChange: (zone: ZoneName) => void;
};

export const composeZones = (options: ComposeZonesOptions): Supervisor => {
  const { home, engine, clock, random, log, paths, config, claims } = options;
  const uids = createUidLeases({ engine, range: () => config().instances.uidRange, claims });
  const buses = new Map<ZoneName, UserBus>(
    ZONE_NAMES.map((zone) => [zone, createUserBus({ limits: () => config().bus, clock })]),
  );
  const openLink = createOpenLink({
    clock,
    random,
    log,
    outputBytesPerSecond: () => config().logs.module.bytesPerSecond,
  });
  const preparation = createZonePreparation({
    openLink,
    home,
    engine,
    clock,
    random,
    log,
    uids,
    claims,
    config,
    projectDirectory: options.projectDirectory,
    cacheDirectory: join(paths.state, 'cache'),
    instancesDir: paths.instancesDir,
  });
  // Two for each core: one waits for the engine while the other's Node starts.
  const launchSlots = createLaunchSlots(2 * availableParallelism());
  const instances: InstancePorts = {
    launchSlots,
    engine,
    uids,
    clock,
    log,
    openLink,
    records: openInstanceRecords(paths.recordsDir),
    instancesDir: paths.instancesDir,
    busOf: (zone) => buses.get(zone)!,
    restoreImage: preparation.restoreImage,
    appendOutput: options.appendOutput,
    settings: () => ({ ...config().instances, link: config().wire.agent, engineTimeoutMs: config().engine.timeoutMs }),
  };
  return createSupervisor({
    home,
    instances,
    preparation,
    probing: preparation.probing,
    random,
    config,
    report: options.report,
    engineHost: options.engineHost,
    onChange: options.onChange,
  });
};
