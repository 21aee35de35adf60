/** Which container engine to use: DOCKER_HOST, else the machine's, else the project's own. */
import { ping } from './engine-api.mjs';
import { layout } from './private-engine.mjs';
import { Stop } from './terminal.mjs';

const MACHINE_SOCKET = '/var/run/docker.sock';

/**
 * Looks for an engine that answers, and starts none.
 *
 * @param {{ privateOnly?: boolean }} options `privateOnly` passes over DOCKER_HOST and the machine's engine
 * @returns {Promise<{ kind: 'named' | 'machine' | 'private', host: string, socket: string } | undefined>}
 */
export async function findEngine({ privateOnly = false } = {}) {
  const paths = layout();
  if (!privateOnly) {
    const named = process.env.DOCKER_HOST;
    if (named) return namedEngine(named);
    const machine = await ping(MACHINE_SOCKET);
    if (machine.answers) return { kind: 'machine', host: `unix://${MACHINE_SOCKET}`, socket: MACHINE_SOCKET };
    if (machine.code === 'EACCES') {
      throw new Stop(
        `a container engine listens at ${MACHINE_SOCKET}, but you may not use it`,
        'run as root, or join the group: `sudo usermod -aG docker $USER` and log in again (members of that group are as good as root)',
      );
    }
  }
  const own = await ping(paths.socket);
  if (own.answers) return { kind: 'private', host: paths.host, socket: paths.socket };
  if (own.code === 'EACCES') {
    throw new Stop(
      `the private engine listens at ${paths.socket}, but you may not use it`,
      'run as root, or join the group `docker`',
    );
  }
  return undefined;
}

async function namedEngine(host) {
  if (!host.startsWith('unix:///')) {
    throw new Stop(
      `DOCKER_HOST is ${host}, but the kernel opens Unix sockets only`,
      'set DOCKER_HOST=unix:///path/to/docker.sock, or unset it',
    );
  }
  const socket = host.slice('unix://'.length);
  const { answers, code } = await ping(socket);
  if (!answers)
    throw new Stop(`no engine answers at DOCKER_HOST=${host} (${code})`, 'start that engine, or unset DOCKER_HOST');
  return { kind: 'named', host, socket };
}
