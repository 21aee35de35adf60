/** What an instance runner needs and whom it tells. */
import type { InstancesConfig } from '../../Kernel/contract/effective-config.ts';
import type { ContainerId, InstanceId, ModuleName, ZoneName } from '../../Kernel/contract/ids.ts';
import type { InstanceExit, LogLine } from '../../Kernel/contract/operations/shapes.ts';
import type { Clock, ContainerSpec, EnginePort, Log } from '../../Kernel/contract/ports.ts';
import type { LinkLimits, OpenLink } from '../link/link.ts';
import type { UserBus } from '../user-bus/user-bus.ts';
import type { UidLeases } from './uid-leases.ts';
import type { ModulePayload } from './assign-module.ts';
import type { HealthCheck } from './health.ts';
import type { LaunchSlots } from './launch-slots.ts';
import type { InstanceRecords } from './instance-record.ts';
import type { InstanceState } from './instance.machine.ts';

/** Everything that is the same for all instances of a home. */
export type InstancePorts = {
  readonly engine: EnginePort;
  readonly openLink: OpenLink;
  readonly records: InstanceRecords;
  readonly uids: UidLeases;
  readonly launchSlots: LaunchSlots;
  /** Parent of the directories that are bound into containers. */
  readonly instancesDir: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly busOf: (zone: ZoneName) => UserBus;
  /** Brings back an image that the engine lost. @throws KernelError `IMAGE_UNAVAILABLE` */
  readonly restoreImage: (image: string, signal: AbortSignal) => Promise<void>;
  readonly appendOutput: (line: LogLine) => void;
  /** Read anew at each use: these apply live. */
  readonly settings: () => InstancesConfig & { readonly link: LinkLimits; readonly engineTimeoutMs: number };
};

/** What an instance is to run. Fixed for its whole life. */
export type Assignment = {
  readonly zone: ZoneName;
  readonly module: ModuleName;
  readonly index: number;
  readonly generation: number;
  readonly version: string;
  readonly digest: string;
  readonly configDigest: string;
  readonly restarts: number;
  readonly bus: { readonly publish: readonly string[]; readonly subscribe: readonly string[] };
  readonly health: HealthCheck | null;
  /** Loads and verifies the files; called when they are to be sent. */
  readonly loadPayload: () => Promise<ModulePayload>;
};

/** A container specification without what is only known when an instance is made. */
export type SpecTemplate = Omit<ContainerSpec, 'instance' | 'uid' | 'directory'>;

/** Told once each, in this order at the most: ready, lost, gone. */
export type InstanceOwner = {
  readonly onReady: () => void;
  readonly onLost: (cause: InstanceExit['cause'], detail: string) => void;
  readonly onGone: (exit: InstanceExit) => void;
  readonly onChange: () => void;
};

export type Instance = {
  readonly id: InstanceId;
  readonly assignment: Assignment;
  readonly state: () => InstanceState;
  readonly container: () => ContainerId | null;
  readonly pid: () => number | null;
  readonly startedAtMs: () => number | null;
  readonly uid: () => number;
  readonly inFlight: () => number;
  readonly spec: SpecTemplate;
  /**
   * Calls a function of the module; the result is what the agent says, unchecked.
   *
   * @throws KernelError `INSTANCE_LOST`, `DEADLINE_EXCEEDED`, `CANCELLED`, `MODULE_ERROR`, `LIMIT_EXCEEDED`
   */
  readonly call: (
    name: string,
    params: unknown,
    options: { timeoutMs: number; signal: AbortSignal },
  ) => Promise<unknown>;
  readonly drain: (cause: 'operator' | 'replaced') => void;
  readonly kill: (cause: 'operator' | 'replaced' | 'orphaned' | 'engine', detail: string) => void;
  /** The engine said that the container died, or it is worth asking. */
  readonly checkExit: () => void;
  /** Lets go without ending it: the kernel stops and the instance goes on (live restore). */
  readonly release: () => Promise<void>;
};
