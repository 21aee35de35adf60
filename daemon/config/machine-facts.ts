/** What this machine has, as far as this process may use it. */
import { availableParallelism, totalmem } from 'node:os';
import type { MachineFacts } from '../../config/resolve-config.ts';

/** Memory and cores, within the limits of the control group that this process runs in. */
export const readMachineFacts = (): MachineFacts => {
  const total = totalmem();
  // Zero, or far more than there is, where no limit is set.
  const limit = process.constrainedMemory();
  return { memoryBytes: limit > 0 ? Math.min(limit, total) : total, cpus: availableParallelism() };
};
