import { KernelError } from '../../../Kernel/contract/errors.ts';
import { jsonLine } from '../output.ts';
import { ask, type Run, type Session } from '../session.ts';

const MAX_PARAMS_BYTES = 8 * 1024 * 1024;

export type CallArguments = {
  readonly module: string;
  readonly function: string;
  /** JSON text; `-`: read it from standard input; undefined: `{}`. */
  readonly json: string | undefined;
  readonly timeoutMs: number | undefined;
};

/** Calls a function and prints its result as JSON on one line, with or without `--json`. */
export const call =
  (args: CallArguments): Run =>
  async (session) => {
    const text = args.json === '-' ? await readStdin(session) : (args.json ?? '{}');
    const result = await ask(session, 'module.call', {
      module: args.module,
      function: args.function,
      params: parseParams(text),
      ...(args.timeoutMs === undefined ? {} : { timeoutMs: args.timeoutMs }),
    });
    await session.out.write(`${jsonLine(result)}\n`);
    return 0;
  };

const readStdin = async (session: Session): Promise<string> => {
  const parts: Buffer[] = [];
  let bytes = 0;
  const stop = () => session.io.stdin.destroy();
  session.signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const part of session.io.stdin) {
      const buffer = Buffer.from(part as Uint8Array | string);
      bytes += buffer.byteLength;
      if (bytes > MAX_PARAMS_BYTES) throw new KernelError('USAGE', `the parameters are over ${MAX_PARAMS_BYTES} bytes`);
      parts.push(buffer);
    }
  } catch (error) {
    if (session.signal.aborted) throw new KernelError('CANCELLED', 'the call was cancelled', { cause: error });
    throw error;
  } finally {
    session.signal.removeEventListener('abort', stop);
  }
  return Buffer.concat(parts).toString('utf8');
};

const parseParams = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new KernelError('USAGE', `the parameters are not JSON: ${why}`, {
      cause: error,
      remedy: `Quote them for the shell: kernelctl module call greeter hello '{"name":"Ada"}'`,
    });
  }
};
