/**
 * The kernel's program inside an instance: PID 1 of the container, bundled into the zone image.
 *
 * Environment: `KERNELD_SOCKET`, `KERNELD_MODULE_DIR` and `KERNELD_INSTANCE` (usually absent),
 * `KERNELD_ORPHAN_TIMEOUT_MS` (until the kernel names its own).
 * Exit codes: 0 on SIGTERM, 70 when the module failed, 75 when no kernel came for the orphan timeout.
 *
 * It shares its process with foreign code, so nothing in it is a boundary: what it keeps from the module's
 * reach, it keeps out of tidiness. PID 1 reaps the children that it started itself; processes orphaned by
 * those stay as zombies until the container ends, within its limit of pids.
 */
import { AGENT_SOCKET, TIMER_MAX_MS } from '../../Kernel/contract/wire/agent.constants.ts';
import { runAgent } from './agent.ts';
import { captureOutput } from './capture.ts';
import { createOutput } from './output.ts';

const DEFAULT_ORPHAN_TIMEOUT_MS = 60_000;

const takeEnvironment = (name: string): string | undefined => {
  const value = process.env[name];
  delete process.env[name];
  return value === '' ? undefined : value;
};

/** A value that is no number must not become a timer that fires at once. */
const readOrphanTimeout = (text: string | undefined): number => {
  const value = Number(text);
  return Number.isFinite(value) && value > 0 ? Math.min(value, TIMER_MAX_MS) : DEFAULT_ORPHAN_TIMEOUT_MS;
};

const output = createOutput();
captureOutput(output);
// They would hand a module the agent's socket in one line.
for (const name of ['_getActiveHandles', '_getActiveRequests']) {
  Object.defineProperty(process, name, { value: () => [], configurable: false });
}
runAgent({
  socketPath: takeEnvironment('KERNELD_SOCKET') ?? AGENT_SOCKET,
  moduleDirectory: takeEnvironment('KERNELD_MODULE_DIR') ?? '/module',
  instance: takeEnvironment('KERNELD_INSTANCE') ?? '',
  orphanTimeoutMs: readOrphanTimeout(takeEnvironment('KERNELD_ORPHAN_TIMEOUT_MS')),
  output,
  exit: process.exit.bind(process),
});
