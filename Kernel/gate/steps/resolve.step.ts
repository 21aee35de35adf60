import { KernelError } from '../../contract/errors.ts';
import type { OperationDeclaration } from '../../contract/operations/define.ts';
import type { OperationName } from '../../contract/operations/index.ts';
import type { Step } from '../call.ts';

/**
 * Finds the declaration. The registry is a Map, so that `__proto__` and `constructor` name nothing.
 *
 * @throws KernelError `METHOD_NOT_FOUND`
 */
export const resolveStep = (operations: Readonly<Record<string, OperationDeclaration>>): Step => {
  const registry = new Map(Object.entries(operations));
  return {
    name: 'resolve',
    enter: (call) => {
      const operation = registry.get(call.request.method);
      if (operation === undefined) throw methodNotFound(call.request.method);
      call.operation = operation;
      call.name = call.request.method as OperationName;
    },
  };
};

/** The same answer for an operation that does not exist and for one that this socket does not offer. */
export const methodNotFound = (method: string): KernelError =>
  new KernelError('METHOD_NOT_FOUND', `there is no operation ${JSON.stringify(method.slice(0, 64))} on this socket`);
