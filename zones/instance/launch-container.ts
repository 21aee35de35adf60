/** Makes the container of an instance: uid, directory, link, container, start; in this order, undone by `dispose`. */
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import type { ContainerId, InstanceId } from '../../Kernel/contract/ids.ts';
import type { InstanceLink, LinkHandlers } from '../link/link.ts';
import type { InstancePorts, SpecTemplate } from './instance.ports.ts';

/** How often a uid that another home took meanwhile is exchanged for another, or a lost image is brought back. */
const CREATE_ATTEMPTS = 8;

/** The directory that is bound into the container: others may enter it but not list it. */
export const instanceDirectory = (instancesDir: string, instance: InstanceId): string => join(instancesDir, instance);

/** Makes the directory of an instance, or keeps the one that is there, by inode: a container may look at it. */
export const makeInstanceDirectory = async (instancesDir: string, instance: InstanceId): Promise<string> => {
  const directory = instanceDirectory(instancesDir, instance);
  await mkdir(directory, { recursive: true });
  // mkdir's mode passes through the umask; this does not.
  await chmod(directory, 0o711);
  return directory;
};

/** Opens the socket of an instance in its directory, which is made when it is missing and kept by inode when not. */
export const openInstanceLink = async (
  ports: InstancePorts,
  instance: InstanceId,
  handlers: LinkHandlers,
): Promise<InstanceLink> => {
  const directory = await makeInstanceDirectory(ports.instancesDir, instance);
  return ports.openLink({ instance, directory, limits: ports.settings().link, handlers });
};

/** Creates and starts the container; returns it with its uid. @throws KernelError of the engine */
export const launchContainer = async (
  ports: InstancePorts,
  instance: InstanceId,
  template: SpecTemplate,
  onCreated: (container: ContainerId, uid: number) => void,
  signal: AbortSignal,
): Promise<void> => {
  const directory = instanceDirectory(ports.instancesDir, instance);
  for (let attempt = 1; ; attempt += 1) {
    const uid = await ports.uids.lease(signal);
    const container = await ports.engine
      .create({ ...template, instance, uid, directory }, signal)
      .catch((thrown: unknown) => {
        // Nothing holds the uid now, or another home was quicker; what the engine still made of a request that was
        // given up is found by the sweep, and its name keeps the uid meanwhile.
        ports.uids.lost(uid);
        return toKernelError(thrown, 'ENGINE_FAILED');
      });
    if (!(container instanceof KernelError)) {
      onCreated(container, uid);
      await ports.engine.start(container, signal);
      return;
    }
    if (attempt >= CREATE_ATTEMPTS) throw container;
    if (container.code === 'IMAGE_UNAVAILABLE') await ports.restoreImage(template.image, signal);
    else if (container.code !== 'UID_UNAVAILABLE') throw container;
  }
};
