/**
 * Receives the files of a module and writes them under its directory. The kernel names every file with
 * length and hash before the first byte; anything that differs ends the assignment.
 */
import { createHash, type Hash } from 'node:crypto';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { AssignBeginParams, AssignChunkParams } from '../../Kernel/contract/wire/agent.schema.ts';

const FILES_MAX = 10_000;
const PATH_BYTES_MAX = 512;

/** Relative, forward slashes only, no empty, `.` or `..` segment, no control characters. */
export const isSafePath = (path: string): boolean =>
  path !== '' &&
  Buffer.byteLength(path) <= PATH_BYTES_MAX &&
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  !/[\u0000-\u001f\u007f\\]/.test(path) &&
  path.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');

type Receiving = { readonly bytes: number; readonly sha256: string; readonly hash: Hash; readonly target: string; received: number };

export type ModuleFiles = {
  /** @throws KernelError `INVALID_PARAMS`, `DIGEST_MISMATCH` (more bytes than announced) */
  readonly write: (chunk: AssignChunkParams) => void;
  /** All there and as announced? @throws KernelError `DIGEST_MISMATCH` */
  readonly finish: () => void;
};

const invalid = (message: string): KernelError => new KernelError('INVALID_PARAMS', message);
const mismatch = (message: string): KernelError => new KernelError('DIGEST_MISMATCH', message);

/** Creates the files, empty. @throws KernelError `INVALID_PARAMS`, `MODULE_LOAD_FAILED` (no room) */
export const receiveModuleFiles = (directory: string, files: AssignBeginParams['files']): ModuleFiles => {
  if (files.length > FILES_MAX) throw invalid(`a module has at most ${FILES_MAX} files`);
  const receiving = new Map<string, Receiving>();
  try {
    for (const { path, bytes, sha256 } of files) {
      if (!isSafePath(path)) throw invalid(`${JSON.stringify(path.slice(0, 80))} is not a safe path`);
      if (receiving.has(path)) throw invalid(`${JSON.stringify(path)} is named twice`);
      const target = join(directory, path);
      mkdirSync(dirname(target), { recursive: true });
      // `wx`: nothing is there yet, so whatever is there is not ours to overwrite.
      writeFileSync(target, '', { flag: 'wx' });
      receiving.set(path, { bytes, sha256, hash: createHash('sha256'), target, received: 0 });
    }
  } catch (thrown) {
    if (thrown instanceof KernelError) throw thrown;
    throw new KernelError('MODULE_LOAD_FAILED', 'the files of the module cannot be created', { cause: thrown });
  }

  return {
    write: ({ path, offset, base64 }) => {
      const file = receiving.get(path);
      if (file === undefined) throw invalid(`${JSON.stringify(path.slice(0, 80))} was not announced`);
      if (offset !== file.received) throw invalid(`${path}: offset ${offset} where ${file.received} was expected`);
      const content = Buffer.from(base64, 'base64');
      if (file.received + content.length > file.bytes) throw mismatch(`${path} is longer than announced`);
      try {
        appendFileSync(file.target, content);
      } catch (cause) {
        throw new KernelError('MODULE_LOAD_FAILED', `${path} cannot be written`, { cause });
      }
      file.hash.update(content);
      file.received += content.length;
    },
    finish: () => {
      for (const [path, { bytes, received, sha256, hash }] of receiving) {
        if (received !== bytes) throw mismatch(`${path} has ${received} of ${bytes} bytes`);
        if (hash.digest('hex') !== sha256) throw mismatch(`${path} does not have the announced hash`);
      }
      receiving.clear();
    },
  };
};
