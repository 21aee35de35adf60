import type { OperationName } from '../../Kernel/contract/operations/index.ts';

/**
 * Operations that send items until they end. Named here, because the type of a declaration has its kind only as
 * the union of all kinds; a test compares the list with the declarations.
 */
export const STREAM_NAMES = ['event.follow', 'module.logs'] as const satisfies readonly OperationName[];

export type StreamName = (typeof STREAM_NAMES)[number];
export type UnaryName = Exclude<OperationName, StreamName>;
