import type { z } from 'zod';
import { KernelError } from '../../contract/errors.ts';
import type { Step } from '../call.ts';

/** Issues named in one answer; the first few are enough to fix a request. */
const MAX_ISSUES = 5;
/** A message repeats names that the caller chose, so it is cut. */
const MAX_TEXT = 200;

/**
 * Parses the parameters by the declared schema; absent ones count as `{}`.
 *
 * @throws KernelError `INVALID_PARAMS`, whose message names path and expectation
 */
export const parseStep = (): Step => ({
  name: 'parse',
  enter: (call) => {
    const { params } = call.request;
    const parsed = call.operation!.params.safeParse(params === undefined ? {} : params);
    if (!parsed.success) throw invalidParams(call.request.method, parsed.error);
    call.params = parsed.data;
  },
});

const invalidParams = (method: string, error: z.ZodError): KernelError => {
  const issues = error.issues.slice(0, MAX_ISSUES).map((issue) => ({
    path: ['params', ...issue.path.map(String)].join('.').slice(0, MAX_TEXT),
    expected: issue.message.replace(/^Invalid input: /, '').slice(0, MAX_TEXT),
  }));
  const text = issues.map(({ path, expected }) => `${path}: ${expected}`).join('; ');
  return new KernelError('INVALID_PARAMS', `${method}: ${text}`, { context: { issues } });
};
