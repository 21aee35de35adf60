/** Nothing may be left by a fault: what a home has of containers, directories, records, sockets and descriptors is compared. */
import { expect } from 'vitest';
import { eventually, type KernelUnderTest, type Snapshot } from './kernel.ts';

/**
 * One is the operator socket itself, and none when the kernel is in a network namespace of its own, whose sockets
 * are seen only there; each further one is a client's connection, perhaps one closed a moment ago.
 */
const SOCKETS_AT_REST = 1;

/** A snapshot without the connection of a client that has just left. */
export const restingSnapshot = (kernel: KernelUnderTest): Promise<Snapshot> =>
  eventually(
    'no client is connected',
    async () => {
      const snapshot = await kernel.snapshot();
      return snapshot.sockets <= SOCKETS_AT_REST ? snapshot : null;
    },
    10_000,
  );

/** Waits until everything is as it was. A new process of the kernel may hold two descriptors more or less. */
export const expectSame = async (kernel: KernelUnderTest, before: Snapshot): Promise<void> => {
  await eventually(
    'everything is as before',
    async () => {
      const after = await kernel.snapshot();
      expect(after).toEqual({ ...before, kernelDescriptors: after.kernelDescriptors });
      expect(Math.abs(after.kernelDescriptors - before.kernelDescriptors)).toBeLessThanOrEqual(2);
      return true;
    },
    15_000,
  );
};
