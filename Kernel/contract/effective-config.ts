/**
 * The configuration as the kernel works with it: every value resolved, in bytes and milliseconds.
 * How an operator writes it, with units, percentages and defaults, is the affair of `config/`.
 */
import type { ZoneName } from './ids.ts';

/** How much gets into the kernel's log. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** What all zones may use together. */
export type PoolConfig = { readonly memoryBytes: number; readonly cpus: number };

/** The limits of each instance of a zone. */
export type InstanceLimits = {
  /** Memory and swap together. */
  readonly memoryBytes: number;
  /** In whole or part cores. */
  readonly cpus: number;
  readonly pids: number;
  readonly nofile: number;
  /** Size of `/tmp`. */
  readonly tmpBytes: number;
  /** Size of `/module`. */
  readonly moduleTmpBytes: number;
};

/** One zone: its share of the pool and what its instances are made of. */
export type ZoneConfig = {
  readonly enabled: boolean;
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly maxInstances: number;
  /** `null`: the image that is built locally. */
  readonly image: string | null;
  /** The engine's name for the OCI runtime, such as `runc`. */
  readonly runtime: string;
  /** `null`: the zone's own profile in `config/seccomp`. */
  readonly seccomp: string | null;
  readonly instance: InstanceLimits;
};

/** User ids that instances may be given, both ends included. */
export type UidRange = { readonly first: number; readonly last: number };

/** Time limits that hold for every instance. */
export type InstancesConfig = {
  readonly uidRange: UidRange;
  /** From the start of a container until its agent has connected. */
  readonly startTimeoutMs: number;
  /** From sending a module until it is ready. */
  readonly assignTimeoutMs: number;
  /** For a call whose function declares no timeout. */
  readonly callTimeoutMs: number;
  /** For calls in flight when an instance is stopped. */
  readonly drainTimeoutMs: number;
  /** How long an instance lives without a kernel before it ends itself. */
  readonly orphanTimeoutMs: number;
  /** How long a lost connection may take to come back before the instance is killed. */
  readonly reconnectTimeoutMs: number;
  readonly heartbeat: { readonly intervalMs: number; readonly limitMs: number };
};

/** When a failed instance is started again, and when its module is quarantined. */
export type RestartConfig = {
  /** `jitter` is the part of each delay, 0 to 1, that is random. */
  readonly backoff: {
    readonly initialMs: number;
    readonly maxMs: number;
    readonly factor: number;
    readonly jitter: number;
  };
  /** Ready for this long: the back-off starts afresh. */
  readonly stableAfterMs: number;
  /** More restarts than this within the window: quarantine. */
  readonly intensity: { readonly restarts: number; readonly windowMs: number };
};

/** Limits of the connection of one agent. */
export type AgentWireLimits = {
  readonly maxFrameBytes: number;
  readonly maxDepth: number;
  readonly framesPerSecond: number;
  readonly bytesPerSecond: number;
  readonly maxInFlight: number;
};

/** Limits of the operator socket; `maxInFlight` holds for each connection. */
export type OperatorWireLimits = {
  readonly maxFrameBytes: number;
  readonly maxConnections: number;
  readonly maxInFlight: number;
};

/** Quotas of each module on the user bus of its zone. */
export type BusConfig = {
  readonly maxTopicBytes: number;
  readonly maxPayloadBytes: number;
  readonly messagesPerSecond: number;
  readonly maxSubscriptions: number;
  /** Messages waiting for one subscriber. */
  readonly queueLength: number;
};

/** The kernel's log and the output of modules. */
export type LogsConfig = {
  readonly level: LogLevel;
  readonly module: {
    readonly maxFileBytes: number;
    /** Files kept for each module, the one being written included. */
    readonly files: number;
    readonly bytesPerSecond: number;
  };
};

/** What the kernel does with its zones when it ends, and how long its parts may take. */
export type LifecycleConfig = {
  readonly onTerminate: 'stop' | 'leave';
  readonly componentTimeoutMs: number;
  readonly drainTimeoutMs: number;
};

/** The container engine. */
export type EngineConfig = {
  /** `null`: `DOCKER_HOST`, else the usual socket, else the private engine. */
  readonly host: string | null;
  readonly pingIntervalMs: number;
  readonly timeoutMs: number;
};

/** The whole configuration, checked and resolved. */
export type EffectiveConfig = {
  readonly pool: PoolConfig;
  readonly zones: Readonly<Record<ZoneName, ZoneConfig>>;
  readonly instances: InstancesConfig;
  readonly restart: RestartConfig;
  readonly wire: { readonly agent: AgentWireLimits; readonly operator: OperatorWireLimits };
  readonly bus: BusConfig;
  readonly logs: LogsConfig;
  /** `group`: its members may use the operator socket; `null`: the owner only. */
  readonly control: { readonly group: string | null };
  readonly lifecycle: LifecycleConfig;
  readonly engine: EngineConfig;
  /** Configuration values by module name, checked against each module's own schema. */
  readonly modules: Readonly<Record<string, { readonly config: unknown }>>;
};
