/** The error object of a JSON-RPC reply, without the schemas, so that the agent can use it too. */
import { ERROR_CODES, type KernelError } from '../errors.ts';

/** The error object of a reply (JSON-RPC 2.0 clause 5.1): the closed code travels in `data.code`. */
export const encodeError = (error: KernelError) => {
  const { code, message, ...rest } = error.toBody();
  return { code: ERROR_CODES[code].rpcCode, message, data: { code, ...rest } };
};
