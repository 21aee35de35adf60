import { PassThrough, Readable, Writable } from 'node:stream';
import type { Io } from '../../../../daemon/cli/io.ts';
import { main } from '../../../../daemon/cli/main.ts';

export type Outcome = { readonly status: number; readonly stdout: string; readonly stderr: string };
export type RunOptions = {
  readonly stdin?: string;
  readonly env?: Record<string, string>;
  readonly terminal?: boolean;
  /** Gets the function that interrupts the program. */
  readonly interruptible?: (interrupt: () => void) => void;
  /** Called with everything printed so far. */
  readonly onStdout?: (text: string) => void;
  /** Bytes after which nobody reads any more. */
  readonly closeAfterBytes?: number;
};

const collector = (onText: (text: string) => void, closeAfterBytes = Infinity) => {
  let text = '';
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      if (text.length >= closeAfterBytes) return done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
      text += chunk.toString();
      onText(text);
      done();
    },
  });
  return { stream, text: () => text };
};

/** Runs `kernelctl` inside this process. */
export const runProgram = async (argv: string[], options: RunOptions = {}): Promise<Outcome> => {
  const out = collector(options.onStdout ?? (() => {}), options.closeAfterBytes);
  const err = collector(() => {});
  const io: Io = {
    stdin: options.stdin === undefined ? new PassThrough() : Readable.from([Buffer.from(options.stdin)]),
    stdout: out.stream,
    stderr: err.stream,
    env: options.env ?? { KERNELD_HOME: '/nowhere' },
    terminal: { stdin: false, stdout: options.terminal ?? false, stderr: options.terminal ?? false },
    columns: undefined,
    onInterrupt: (fn) => {
      options.interruptible?.(fn);
      return () => {};
    },
  };
  const status = await main(argv, io);
  return { status, stdout: out.text(), stderr: err.text() };
};
