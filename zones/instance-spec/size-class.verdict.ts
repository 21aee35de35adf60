/** Declared memory classes: an instance on standby fits any module of its zone and class (DESIGN section 5). */
import { formatSize } from '../../Kernel/contract/units.ts';

const MIB = 1024 * 1024;
export const SIZE_CLASSES_BYTES: readonly number[] = [64 * MIB, 128 * MIB, 256 * MIB, 512 * MIB, 1024 * MIB];

export type SizeClass = { readonly name: string; readonly memoryBytes: number };

/** The smallest class that holds `memoryBytes`; null when it is beyond the largest. */
export const chooseSizeClass = (memoryBytes: number): SizeClass | null => {
  const bytes = SIZE_CLASSES_BYTES.find((size) => size >= memoryBytes);
  return bytes === undefined ? null : { name: formatSize(bytes), memoryBytes: bytes };
};
