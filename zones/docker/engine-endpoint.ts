/** Where the engine listens. Only Unix sockets: the kernel opens nothing else (DESIGN section 1, idea 6). */
import { KernelError } from '../../Kernel/contract/errors.ts';

/**
 * Reads `DOCKER_HOST` as the docker client writes it and returns the path of the socket.
 *
 * @throws KernelError `ENGINE_UNSUITABLE` for anything but `unix://` with an absolute path
 */
export const parseEngineHost = (host: string): string => {
  const path = host.startsWith('unix://') ? host.slice('unix://'.length) : host;
  if (path.startsWith('/')) return path;
  throw new KernelError(
    'ENGINE_UNSUITABLE',
    `the engine address ${JSON.stringify(host.slice(0, 200))} is not a Unix socket`,
    {
      remedy: 'set DOCKER_HOST to unix:///path/to/docker.sock; kerneld opens no network connection',
    },
  );
};
