/** Takes away what an ended instance leaves: container, directory, record and uid, in this order. */
import { rm } from 'node:fs/promises';
import { toKernelError } from '../../Kernel/contract/errors.ts';
import type { ContainerId, InstanceId } from '../../Kernel/contract/ids.ts';
import type { Log } from '../../Kernel/contract/ports.ts';
import type { InstancePorts } from './instance.ports.ts';
import { instanceDirectory } from './launch-container.ts';

/** Time between two attempts, as while the engine is away. */
const RETRY_MS = 2_000;

/**
 * Ends only when the engine confirmed that the container is removed: until then its uid and its directory are
 * taken, since an old process might still reach them.
 */
export const clearAway = async (
  ports: InstancePorts,
  left: {
    readonly id: InstanceId;
    readonly container: ContainerId | null;
    readonly uid: number | null;
    readonly log: Log;
  },
): Promise<void> => {
  const { container, id, log } = left;
  const retried = async (what: string, run: () => Promise<void>): Promise<void> => {
    for (;;) {
      try {
        return await run();
      } catch (thrown) {
        log.warn(`${what} cannot be removed yet`, { reason: toKernelError(thrown).message });
        await new Promise<void>((resolve) => void ports.clock.after(RETRY_MS, resolve));
      }
    }
  };
  if (container !== null) {
    await retried('the container', () =>
      ports.engine.remove(container, AbortSignal.timeout(ports.settings().engineTimeoutMs)),
    );
  }
  await retried('the directory', async () => {
    await rm(instanceDirectory(ports.instancesDir, id), { recursive: true, force: true });
    ports.records.remove(id);
  });
  if (left.uid !== null) ports.uids.release(left.uid);
};
