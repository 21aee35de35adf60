/** Turns what a module hands over into JSON that the kernel will take, or says why it cannot be that. */
import { KernelError, type ErrorCode } from '../../Kernel/contract/errors.ts';

/** Room for the frame around the value. */
const FRAME_BYTES = 256;

/** What the kernel enforces on this connection. */
export type WireLimits = {
  readonly maxFrameBytes: number;
  readonly maxDepth: number;
  readonly framesPerSecond: number;
  readonly bytesPerSecond: number;
};

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
 * @param what names the value in messages, as `the result`
 * @param invalid the code for a value that is not representable as JSON, or too deep
 * @throws KernelError `invalid`, `PAYLOAD_TOO_LARGE`
 */
export const encodeValue = (
  value: unknown,
  limits: Pick<WireLimits, 'maxFrameBytes' | 'maxDepth'>,
  what: string,
  invalid: ErrorCode,
): string => {
  let text: string | undefined;
  try {
    // One level is the frame's own object.
    if (isDeeperThan(value, limits.maxDepth - 1)) {
      throw new KernelError(invalid, `${what} nests deeper than ${limits.maxDepth - 1} levels`);
    }
    text = JSON.stringify(value ?? null);
  } catch (cause) {
    if (cause instanceof KernelError && cause.code === invalid) throw cause;
    const why = cause instanceof Error ? cause.message.split('\n')[0] : 'it cannot be serialised';
    throw new KernelError(invalid, `${what} is not JSON: ${why}`, { cause });
  }
  // A function or a symbol has no JSON form.
  if (text === undefined) throw new KernelError(invalid, `${what} is not JSON: it is a function or a symbol`);
  if (Buffer.byteLength(text) > limits.maxFrameBytes - FRAME_BYTES) {
    throw new KernelError('PAYLOAD_TOO_LARGE', `${what} is larger than ${limits.maxFrameBytes - FRAME_BYTES} bytes`);
  }
  return text;
};
