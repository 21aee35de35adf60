/** Turns what a function returned into the text of a reply, or says why it cannot be one. */
import { KernelError } from '../../Kernel/contract/errors.ts';

/** Room for the frame around the result. */
const FRAME_BYTES = 256;

export type ResultLimits = { readonly maxFrameBytes: number; readonly maxDepth: number };

/** Depth of a parsed or plain value, told only up to the limit. */
const isDeeperThan = (value: unknown, levels: number): boolean => {
  if (typeof value !== 'object' || value === null) return false;
  if (levels <= 0) return true;
  for (const inner of Object.values(value)) if (isDeeperThan(inner, levels - 1)) return true;
  return false;
};

/**
 * `undefined` becomes `null`.
 *
 * @throws KernelError `RESULT_INVALID` (not representable as JSON, or too deep), `PAYLOAD_TOO_LARGE`
 */
export const encodeResult = (result: unknown, limits: ResultLimits): string => {
  let text: string | undefined;
  try {
    // One level is the frame's own object.
    if (isDeeperThan(result, limits.maxDepth - 1)) {
      throw new KernelError('RESULT_INVALID', `the result nests deeper than ${limits.maxDepth - 1} levels`);
    }
    text = JSON.stringify(result ?? null);
  } catch (cause) {
    if (cause instanceof KernelError) throw cause;
    const why = cause instanceof Error ? cause.message.split('\n')[0] : 'it cannot be serialised';
    throw new KernelError('RESULT_INVALID', `the result is not JSON: ${why}`, { cause });
  }
  // A function or a symbol has no JSON form.
  if (text === undefined) throw new KernelError('RESULT_INVALID', 'the result is not JSON: it is a function or a symbol');
  if (Buffer.byteLength(text) > limits.maxFrameBytes - FRAME_BYTES) {
    throw new KernelError('PAYLOAD_TOO_LARGE', `the result is larger than ${limits.maxFrameBytes - FRAME_BYTES} bytes`);
  }
  return text;
};
