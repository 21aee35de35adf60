import { readFile } from 'node:fs/promises';
import { KernelError } from '../../Kernel/contract/errors.ts';

/**
 * The id of a group of this system, by `/etc/group` (group(5)). Groups that only a directory service knows are
 * not found: asking it would need a process or a network, and the kernel uses neither.
 *
 * @throws KernelError `SOCKET_UNAVAILABLE` when there is no such group
 */
export const findGroupId = async (name: string, file = '/etc/group'): Promise<number> => {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new KernelError('SOCKET_UNAVAILABLE', `${file} cannot be read to find the group ${name}`, { cause });
  });
  for (const line of text.split('\n')) {
    const [group, , id] = line.split(':');
    if (group === name && id !== undefined && /^\d+$/.test(id)) return Number(id);
  }
  throw new KernelError('SOCKET_UNAVAILABLE', `there is no group ${JSON.stringify(name)} on this system`, {
    context: { group: name },
    remedy: `Create it with "groupadd ${name}", or change control.group in kernel.yaml.`,
  });
};
