import { findEngine } from './find-engine.mjs';
import { withLock } from './lock.mjs';
import { agree, step, Stop } from './terminal.mjs';
import { aptInstall, aptPlan, hasProgram, isDebianLike, isRoot } from './machine.mjs';
import { layout, startDockerd } from './private-engine.mjs';

/** Longer than an install and a start take together, so that the second of two starts finds the engine of the first. */
const LOCK_WAIT_SECONDS = 600;

/** The apt packages that starting an engine would need here. Throws when this machine can't be helped. */
export function enginePackages() {
  if (!isRoot()) {
    throw new Stop(
      'no container engine answers, and only root can start one',
      'run `sudo scripts/engine start` once, or start Docker 20.10 or later, or set DOCKER_HOST=unix:///path/to/docker.sock',
    );
  }
  if (hasProgram('dockerd')) return [];
  if (!isDebianLike()) {
    throw new Stop(
      'no container engine is installed, and only on Debian and Ubuntu can this script install one',
      'install Docker Engine 20.10 or later with the package manager of this system, then run the command again',
    );
  }
  return ['docker.io'];
}

/**
 * Finds an engine, or starts the project's own; installs one when there is none.
 *
 * @returns {Promise<{ kind: string, host: string, socket: string, started: boolean }>}
 */
export async function ensureEngine({ yes = false, privateOnly = false } = {}) {
  const found = await findEngine({ privateOnly });
  if (found !== undefined) return { ...found, started: false };
  const paths = layout();
  enginePackages();
  return withLock(paths.lock, LOCK_WAIT_SECONDS, async () => {
    // Whoever held the lock before us may have started it.
    const meanwhile = await findEngine({ privateOnly });
    if (meanwhile !== undefined) return { ...meanwhile, started: false };
    const packages = enginePackages();
    if (packages.length > 0) {
      await agree(aptPlan(packages), { yes });
      await step('Container engine installed', () => aptInstall(packages));
      // The package starts an engine of the machine where there is systemd; then that is the one to use.
      const brought = await findEngine({ privateOnly });
      if (brought !== undefined) return { ...brought, started: false };
    }
    const how = await startDockerd(paths);
    return { kind: 'private', host: paths.host, socket: paths.socket, started: how === 'started' };
  });
}
