/** The program `kernelctl`: reads its arguments, runs one command, reports its failure. */
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import { homePaths } from '../../Kernel/contract/paths.ts';
import { processIo, styleOf, type Io } from './io.ts';
import { createOutput, jsonLine, OutputClosed, type Output } from './output.ts';
import { readArguments, wantsJson, type Invocation } from './read-arguments.ts';
import { renderError } from './render/error.ts';
import { escapeText } from './render/text.ts';
import type { Session } from './session.ts';

/**
 * Runs `kernelctl`.
 *
 * @param argv without node and script
 * @returns the exit status: 0 done, 1 refused or failed, 2 usage, 3 no kernel at that socket
 */
export async function main(argv: string[], io: Io = processIo()): Promise<number> {
  const out = createOutput(io.stdout);
  const interrupt = new AbortController();
  const stopListening = io.onInterrupt(() => {
    interrupt.abort();
    stopListening(); // a second interrupt ends the process at once
  });
  try {
    const invocation = await readArguments(argv);
    if (invocation.kind === 'text') {
      await out.write(invocation.text);
      return 0;
    }
    return await invocation.run(openSession(io, out, invocation, interrupt.signal));
  } catch (thrown) {
    if (thrown instanceof OutputClosed) return 0;
    return await report(thrown, io, out, wantsJson(argv));
  } finally {
    stopListening();
  }
}

const openSession = (
  io: Io,
  out: Output,
  invocation: Extract<Invocation, { kind: 'run' }>,
  signal: AbortSignal,
): Session => {
  const err = createOutput(io.stderr);
  return {
    io,
    json: invocation.json,
    style: styleOf(io, 'stdout'),
    out,
    // Overwrites its own line; an empty text removes it.
    progress: (text) =>
      io.terminal.stderr && !invocation.json ? err.write(`\r\u001b[K${escapeText(text)}`) : Promise.resolve(),
    signal,
    socketPath: () => invocation.socket ?? homePaths(io.env).operatorSocket,
  };
};

const report = async (thrown: unknown, io: Io, out: Output, json: boolean): Promise<number> => {
  const error = describe(thrown);
  try {
    if (json) await out.write(`${jsonLine({ error: error.toBody() })}\n`);
    else await createOutput(io.stderr).lines(renderError(error, styleOf(io, 'stderr')));
  } catch (closed) {
    if (!(closed instanceof OutputClosed)) throw closed; // nobody is left to tell; the exit status still says it
  }
  return error.exitStatus;
};

/** A fault of this program itself is most often an answer of a kernel of another version. */
const describe = (thrown: unknown): KernelError =>
  thrown instanceof TypeError
    ? new KernelError('INTERNAL', `the answer could not be shown: ${thrown.message}`, {
        cause: thrown,
        remedy: 'Check that kernelctl and the kernel have the same version: kernelctl --version.',
      })
    : toKernelError(thrown);
