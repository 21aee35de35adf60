/** Takes apart the engine's multiplexed log format: header of 8 bytes (stream, 0,0,0, length), then the payload. */

const HEADER_BYTES = 8;

/** The newest `maxBytes` of the text; a broken tail is dropped, because a live container may be writing it. */
export const demultiplex = (log: Buffer, maxBytes: number): string => {
  const parts: Buffer[] = [];
  let at = 0;
  while (at + HEADER_BYTES <= log.length) {
    const end = at + HEADER_BYTES + log.readUInt32BE(at + 4);
    if (end > log.length) break;
    parts.push(log.subarray(at + HEADER_BYTES, end));
    at = end;
  }
  const text = Buffer.concat(parts);
  return text.subarray(Math.max(0, text.length - maxBytes)).toString('utf8');
};
