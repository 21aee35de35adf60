/**
 * The command of an instance. Node's own restrictions are lint, not a boundary (DESIGN section 5): they turn
 * mistakes into clear errors. What isolates is the container.
 */
import type { ZoneName } from '../../Kernel/contract/ids.ts';

const MIB = 1024 * 1024;
/** Node, the agent and their native memory. The rest may be heap, but for a fifth that buffers and code take. */
const RUNTIME_MIB = 40;
const HEAP_SHARE = 0.8;

/** `--max-old-space-size` for a memory limit, in MiB. V8 gives up with a message before the system kills without one. */
export const oldSpaceMiB = (memoryBytes: number): number => {
  const memoryMiB = memoryBytes / MIB;
  return Math.max(16, Math.floor(Math.min(memoryMiB - RUNTIME_MIB, memoryMiB * HEAP_SHARE)));
};

/** V8 keeps three semi-spaces of up to 16 MiB by default: more than a small class has. */
const semiSpaceMiB = (memoryBytes: number): number => Math.min(16, Math.max(1, Math.floor(memoryBytes / (64 * MIB))));

/**
 * Departures from the flags as DESIGN lists them, each found by trying with Node 26.10:
 * - one flag for each path: a list with commas is taken as one path with commas, and everything is refused;
 * - `/dev/null` for writing: the agent gives descriptors 1 and 2 to it; without it `openSync` is ERR_ACCESS_DENIED;
 * - `stable` may start processes and workers, or its seccomp profile would allow what Node still refuses;
 * - warnings that these flags themselves cause are turned off, because they would fill the engine's log.
 * A Unix socket needs `--allow-net` and no file permission: connecting to /run/kerneld/agent.sock works as listed.
 */
export const nodeCommand = (
  zone: ZoneName,
  nodePath: string,
  agentPath: string,
  memoryBytes: number,
): readonly string[] => [
  nodePath,
  '--disallow-code-generation-from-strings',
  '--permission',
  '--allow-net',
  ...['/agent', '/module', '/tmp'].map((path) => `--allow-fs-read=${path}`),
  ...['/module', '/tmp', '/dev/null'].map((path) => `--allow-fs-write=${path}`),
  ...(zone === 'stable' ? ['--allow-child-process', '--allow-worker'] : []),
  '--disable-warning=ExperimentalWarning',
  '--disable-warning=SecurityWarning',
  '--disable-sigusr1', // SIGUSR1 would start a debugger that listens
  `--max-old-space-size=${oldSpaceMiB(memoryBytes)}`,
  `--max-semi-space-size=${semiSpaceMiB(memoryBytes)}`,
  agentPath,
];
