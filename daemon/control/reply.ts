import { KernelError } from '../../Kernel/contract/errors.ts';
import { encodeError, PROGRESS_METHOD, type RequestId } from '../../Kernel/contract/wire/jsonrpc.schema.ts';

/** A reply with a result. Written piecewise: the envelope is constant, only id and value need an encoder. */
export const encodeResult = (id: RequestId, value: unknown, maxBytes: number): string => {
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch (cause) {
    return encodeFailure(id, new KernelError('INTERNAL', 'the result cannot be written as JSON', { cause }));
  }
  const text = `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${json ?? 'null'}}`;
  if (fits(text, maxBytes)) return text;
  return encodeFailure(id, tooLarge(maxBytes));
};

export const encodeFailure = (id: RequestId | null, error: KernelError): string =>
  JSON.stringify({ jsonrpc: '2.0', id, error: encodeError(error) });

/** One item of a stream; throws when it is larger than a frame may be. */
export const encodeProgress = (id: RequestId, seq: number, value: unknown, maxBytes: number): string => {
  const text = JSON.stringify({ jsonrpc: '2.0', method: PROGRESS_METHOD, params: { id, seq, value } });
  if (!fits(text, maxBytes)) throw tooLarge(maxBytes);
  return text;
};

/** UTF-8 takes at most three bytes for each unit of a JavaScript string; most texts are settled by length alone. */
const fits = (text: string, maxBytes: number): boolean =>
  text.length * 3 <= maxBytes || (text.length <= maxBytes && Buffer.byteLength(text) <= maxBytes);

const tooLarge = (maxBytes: number): KernelError =>
  new KernelError('PAYLOAD_TOO_LARGE', `the answer is larger than a frame of ${maxBytes} bytes`, {
    context: { maxBytes },
  });
