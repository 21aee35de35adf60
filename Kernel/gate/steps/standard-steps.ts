import type { OperationDeclaration } from '../../contract/operations/define.ts';
import type { KernelMode, Step } from '../call.ts';
import { limitStep, type InFlightLimits } from './limit.step.ts';
import { safeModeStep, stoppingStep } from './mode.step.ts';
import { parseStep } from './parse.step.ts';
import { resolveStep } from './resolve.step.ts';
import { socketStep } from './socket.step.ts';

/**
 * The steps of the gate, cheapest refusal first (DESIGN section 10). Policy, breaker, contract, review and audit
 * are later elements of this list; executing comes after the last.
 */
export const standardSteps = (ports: {
  readonly operations: Readonly<Record<string, OperationDeclaration>>;
  readonly mode: () => KernelMode;
  readonly limits: () => InFlightLimits;
}): readonly Step[] =>
  Object.freeze([
    resolveStep(ports.operations),
    socketStep(),
    parseStep(),
    safeModeStep(ports.mode),
    stoppingStep(ports.mode),
    limitStep(ports.limits),
  ]);
