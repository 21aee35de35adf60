/**
 * Takes over console, process.stdout and process.stderr. Descriptors 1 and 2 are the engine's, and a
 * container that floods them costs the engine a whole core whatever its own cpu limit (DESIGN section 5).
 */
import { Console } from 'node:console';
import { Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { Output, OutputLevel, OutputStream } from './output.ts';

const LEVEL_OF_METHOD: Readonly<Record<string, OutputLevel>> = {
  debug: 'debug',
  warn: 'warn',
  error: 'error',
  trace: 'error',
};

/** A stream that never buffers: it hands text on at once, so a writer in a loop cannot fill memory with it. */
const createStream = (fd: 1 | 2, write: (text: string) => void): Writable => {
  const decoder = new StringDecoder('utf8');
  const stream = new Writable({
    decodeStrings: false,
    write: (chunk: Buffer | string, _encoding, done) => {
      write(typeof chunk === 'string' ? chunk : decoder.write(chunk));
      done();
    },
  });
  return Object.defineProperties(stream, {
    fd: { value: fd, enumerable: true },
    isTTY: { value: false, enumerable: true },
    _isStdio: { value: true },
    // As with the real ones, `process.stdout.end()` by some library must not silence the rest.
    destroy: { value: () => stream },
    end: { value: () => stream },
  });
};

const replaceGlobal = (name: 'stdout' | 'stderr', stream: Writable): void => {
  Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => stream });
};

/** Captures from now on. Call before any module is loaded and before console was first used. */
export const captureOutput = (output: Output): void => {
  let level: OutputLevel | undefined;
  const writer = (stream: OutputStream, usual: OutputLevel) => (text: string) =>
    output.write(stream, level ?? usual, text);
  const stdout = createStream(1, writer('stdout', 'info'));
  const stderr = createStream(2, writer('stderr', 'error'));
  replaceGlobal('stdout', stdout);
  replaceGlobal('stderr', stderr);

  // The console writes past the streams' machinery: it would queue one callback for each line of a loop.
  const direct = (stream: Writable, write: (text: string) => void): Writable =>
    Object.create(stream, {
      write: {
        value: (text: string) => {
          write(text);
          return true;
        },
      },
    }) as Writable;
  const captured = new Console({
    stdout: direct(stdout, writer('stdout', 'info')),
    stderr: direct(stderr, writer('stderr', 'error')),
    ignoreErrors: false,
    colorMode: false,
  });
  const target = console as unknown as Record<string, unknown>;
  for (const [name, method] of Object.entries(captured) as [string, unknown][]) {
    if (typeof method !== 'function' || name === 'Console') continue;
    const methodLevel = LEVEL_OF_METHOD[name];
    target[name] =
      methodLevel === undefined
        ? method
        : (...args: unknown[]) => {
            level = methodLevel;
            try {
              (method as (...all: unknown[]) => void)(...args);
            } finally {
              level = undefined;
            }
          };
  }
};
