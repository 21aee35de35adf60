import type { KernelEvent } from '../../contract/operations/shapes.ts';

export type Severity = KernelEvent['severity'];

/** Lowest first; the index is the priority of delivery. */
export const SEVERITIES: readonly Severity[] = ['debug', 'info', 'warn', 'error', 'critical'];

export const rank = (severity: Severity): number => SEVERITIES.indexOf(severity);
