import type { Writable } from 'node:stream';

/** The reader went away, as `head` does: no failure, only the end. */
export class OutputClosed extends Error {
  constructor(cause: unknown) {
    super('nobody reads the output any more', { cause });
    this.name = 'OutputClosed';
  }
}

export type Output = {
  /** Resolves when the text was taken, so that a slow reader slows the writer. @throws OutputClosed */
  readonly write: (text: string) => Promise<void>;
  /** Writes lines, each with its end. */
  readonly lines: (lines: readonly string[]) => Promise<void>;
};

/** Writes to a stream and tells a closed pipe from other faults. */
export const createOutput = (stream: Writable): Output => {
  // The fault also arrives as an event, which without a listener would end the process with a stack.
  if (stream.listenerCount('error', ignoreFault) === 0) stream.on('error', ignoreFault);
  const write = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      if (text === '') return resolve();
      stream.write(text, (error) => {
        if (error == null) resolve();
        else
          reject(
            'code' in error && error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED'
              ? error
              : new OutputClosed(error),
          );
      });
    });
  return { write, lines: (lines) => write(lines.map((line) => `${line}\n`).join('')) };
};

/** Faults are reported by the callback of the write that met them. */
const ignoreFault = () => {};

/** JSON may hold C1 controls and format characters unescaped (RFC 8259 section 7); a terminal would obey them. */
const UNSAFE_IN_JSON = /[\u007f-\u009f]|[\p{Cf}\p{Zl}\p{Zp}]/gu;

const escapeUnits = (character: string): string =>
  character
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('');

/** One JSON document on one line, safe to show; `undefined` becomes `null`. */
export const jsonLine = (value: unknown): string =>
  (JSON.stringify(value) ?? 'null').replace(UNSAFE_IN_JSON, escapeUnits);
