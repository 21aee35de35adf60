/**
 * The seams through which decisions reach the world. Implementations live in `zones/` and `daemon/`;
 * only `daemon/compose.ts` constructs them (STYLE: injection).
 */
import type { ContainerId, HomeId, InstanceId, ZoneName } from './ids.ts';

/** Time. `monotonicMs` never jumps and is what decisions use; `wallMs` is for people and records. */
export type Clock = {
  readonly monotonicMs: () => number;
  readonly wallMs: () => number;
  /** Calls `fn` once after `delayMs`; the returned function cancels. Does not keep the process alive. */
  readonly after: (delayMs: number, fn: () => void) => () => void;
};

/** Randomness: `hex(n)` gives n random bytes as hex (ids, epochs), `unit()` a number in [0, 1) (jitter). */
export type Random = {
  readonly hex: (bytes: number) => string;
  readonly unit: () => number;
};

/** Kernel log. `critical` returns only after the line is synced to disk (K8). */
export type Log = {
  readonly debug: (message: string, fields?: LogFields) => void;
  readonly info: (message: string, fields?: LogFields) => void;
  readonly warn: (message: string, fields?: LogFields) => void;
  readonly error: (message: string, fields?: LogFields) => void;
  readonly critical: (message: string, fields?: LogFields) => void;
  /** A log whose lines carry these fields too. */
  readonly child: (fields: LogFields) => Log;
};
export type LogFields = Readonly<Record<string, unknown>>;

/** What the engine is and can do, read once per connection. */
export type EngineFacts = {
  readonly version: string;
  readonly apiVersion: string;
  readonly cgroupVersion: 1 | 2;
  readonly liveRestore: boolean;
  readonly seccomp: boolean;
  readonly runtimes: readonly string[];
  readonly defaultRuntime: string;
  /** True when the engine maps container uids to a subordinate range (userns-remap). */
  readonly usernsRemap: boolean;
  readonly rootless: boolean;
  readonly memoryLimit: boolean;
  readonly pidsLimit: boolean;
  readonly cpuCount: number;
  readonly memoryBytes: number;
  readonly storageDriver: string;
  readonly dataRoot: string;
};

/** Everything about one instance's container that is fixed when it is created (DESIGN section 5). */
export type ContainerSpec = {
  readonly home: HomeId;
  readonly zone: ZoneName;
  readonly instance: InstanceId;
  /** Digest over all of this but `instance`, `uid` and `directory`: a change means "replace". */
  readonly specDigest: string;
  readonly uid: number;
  /** Declared memory class, as `64MiB`. */
  readonly sizeClass: string;
  readonly image: string;
  readonly runtime: string;
  /** Host directory bound read-only to `/run/kerneld`. */
  readonly directory: string;
  /** The whole seccomp profile as JSON text. */
  readonly seccompProfile: string;
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly pids: number;
  readonly nofile: number;
  readonly tmpBytes: number;
  readonly moduleTmpBytes: number;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
};

/** Why a container is no longer running, as the engine tells it; never the instance's own word. */
export type ContainerExit = {
  readonly exitCode: number;
  readonly signal: string | null;
  readonly oomKilled: boolean;
  readonly finishedAt: string;
  /** The engine's own error, as of a failed start. */
  readonly error: string | null;
};

/** One container of a home, as the engine has it. */
export type ContainerFacts = {
  readonly container: ContainerId;
  readonly home: HomeId;
  readonly zone: ZoneName | null;
  readonly instance: InstanceId | null;
  readonly specDigest: string | null;
  readonly uid: number | null;
  readonly sizeClass: string | null;
  readonly state: 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';
  /** Host pid of PID 1 of the container; null when it does not run. */
  readonly pid: number | null;
  readonly startedAt: string | null;
  readonly exit: ContainerExit | null;
};

/** What the engine reports on its own. */
export type EngineEvent =
  | { readonly kind: 'containerDied'; readonly container: ContainerId; readonly exitCode: number }
  | { readonly kind: 'containerOom'; readonly container: ContainerId };

/** Isolation as the engine and the system show it for a running container, for `zone inspect`. */
export type ContainerIsolation = {
  readonly networkMode: string;
  readonly capabilities: string;
  readonly noNewPrivileges: boolean;
  readonly seccompMode: number | null;
  readonly readonlyRootfs: boolean;
  readonly namespaces: Readonly<Record<string, string>>;
};

/**
 * The container engine. Every call takes a signal and ends with it; every call is idempotent where its
 * purpose allows (killing a dead or removing a missing container is "already so", not an error).
 *
 * @throws KernelError `ENGINE_UNREACHABLE` (nothing answers, or not in time), `ENGINE_FAILED` (it refused),
 *   `UID_UNAVAILABLE` from `create` when the uid is leased by another container of this engine.
 */
export type EnginePort = {
  readonly facts: (signal: AbortSignal) => Promise<EngineFacts>;
  readonly ping: (signal: AbortSignal) => Promise<void>;
  /** Uids leased by any container of any home on this engine. */
  readonly leasedUids: (signal: AbortSignal) => Promise<ReadonlySet<number>>;
  readonly create: (spec: ContainerSpec, signal: AbortSignal) => Promise<ContainerId>;
  readonly start: (container: ContainerId, signal: AbortSignal) => Promise<void>;
  readonly kill: (container: ContainerId, signal: AbortSignal) => Promise<void>;
  /** Kills if needed and removes with its anonymous volumes. */
  readonly remove: (container: ContainerId, signal: AbortSignal) => Promise<void>;
  readonly inspect: (container: ContainerId, signal: AbortSignal) => Promise<ContainerFacts | null>;
  readonly isolation: (container: ContainerId, signal: AbortSignal) => Promise<ContainerIsolation | null>;
  readonly list: (home: HomeId, signal: AbortSignal) => Promise<readonly ContainerFacts[]>;
  /** At most `maxBytes` of what was printed before the agent closed its descriptors (failures of start). */
  readonly startupOutput: (container: ContainerId, maxBytes: number, signal: AbortSignal) => Promise<string>;
  /**
   * Follows events of this home until the signal aborts or the engine goes away (then it throws
   * `ENGINE_UNREACHABLE`). `onOpen` is called when the stream stands, so that the caller can list
   * afterwards and miss nothing.
   */
  readonly follow: (
    home: HomeId,
    onOpen: () => void,
    onEvent: (event: EngineEvent) => void,
    signal: AbortSignal,
  ) => Promise<void>;
};
