/**
 * Cuts what a module writes into lines, at a cost that does not depend on how much it writes: text without
 * a newline is kept up to the limit of a line and only counted beyond it.
 */
export type LineSplitter = {
  readonly push: (text: string) => void;
  /** Emits what has come without a newline so far. */
  readonly flush: () => void;
  readonly hasPartial: () => boolean;
};

/** Slices of longer texts are copied: a slice keeps the whole text it was cut from in memory. */
const COPY_ABOVE_CHARS = 64 * 1024;

/** The first `bytes` bytes of `text`, without half a character at the end. */
const firstBytes = (text: string, bytes: number): string => {
  const encoded = Buffer.from(text.slice(0, bytes));
  if (encoded.length <= bytes) return encoded.toString();
  let end = bytes;
  while (end > 0 && ((encoded[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return encoded.toString('utf8', 0, end);
};

/** The mark at the end of a line that was cut. */
export const cutMark = (cutBytes: number): string => ` [${cutBytes} bytes cut]`;

/** `emit` gets each line without its newline, at most `maxBytes` and the mark long. */
export const createLineSplitter = (maxBytes: number, emit: (line: string) => void): LineSplitter => {
  let partial = '';
  let partialBytes = 0;
  let cutBytes = 0;

  const append = (text: string): void => {
    if (text === '') return;
    const bytes = Buffer.byteLength(text);
    if (partialBytes + bytes <= maxBytes && cutBytes === 0) {
      partial += text;
      partialBytes += bytes;
      return;
    }
    if (cutBytes === 0) {
      const kept = firstBytes(text, maxBytes - partialBytes);
      const keptBytes = Buffer.byteLength(kept);
      partial += kept;
      partialBytes += keptBytes;
      cutBytes = bytes - keptBytes;
    } else {
      cutBytes += bytes;
    }
  };
  const end = (): void => {
    const line = cutBytes === 0 ? partial : partial + cutMark(cutBytes);
    partial = '';
    partialBytes = 0;
    cutBytes = 0;
    emit(line);
  };

  return {
    push: (text) => {
      const copy = text.length > COPY_ABOVE_CHARS;
      let start = 0;
      for (;;) {
        const newline = text.indexOf('\n', start);
        const stop = newline === -1 ? text.length : newline;
        const piece = text.slice(start, stop);
        append(copy && piece.length <= maxBytes ? Buffer.from(piece).toString() : piece);
        if (newline === -1) return;
        end();
        start = newline + 1;
      }
    },
    flush: () => {
      if (partial !== '' || cutBytes > 0) end();
    },
    hasPartial: () => partial !== '' || cutBytes > 0,
  };
};
