import { randomBytes, randomInt } from 'node:crypto';
import type { Random } from '../../Kernel/contract/ports.ts';

const STEPS = 2 ** 47;

/** The system's generator; ids and epochs must not be guessable by an instance. */
export const createRandom = (): Random => ({
  hex: (bytes) => randomBytes(bytes).toString('hex'),
  unit: () => randomInt(STEPS) / STEPS,
});
