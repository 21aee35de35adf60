/**
 * Which engine a kernel uses (DESIGN section 5): the one that kernel.yaml or DOCKER_HOST names, else the machine's,
 * else the private one that `scripts/engine` runs. Only looked for, never started: the kernel boots passively.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const MACHINE_SOCKET = '/var/run/docker.sock';
const PRIVATE_HOME = '/var/lib/kerneld-engine';

export const findEngineHost = (configured: string | null, env: NodeJS.ProcessEnv): string => {
  if (configured !== null) return configured;
  if (env['DOCKER_HOST']) return env['DOCKER_HOST'];
  const own = join(env['KERNELD_ENGINE_HOME'] || PRIVATE_HOME, 'docker.sock');
  // A socket file may be stale; whether somebody answers shows when the zones start.
  return `unix://${!existsSync(MACHINE_SOCKET) && existsSync(own) ? own : MACHINE_SOCKET}`;
};
