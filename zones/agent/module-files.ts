/**
 * Receives the files of a module and writes them under its directory. The kernel names every file with
 * length and hash before the first byte; anything that differs ends the assignment.
 */
import { createHash, type Hash } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { KernelError } from '../../Kernel/contract/errors.ts';
import { TARGETS_FILE } from '../../Kernel/contract/module/artifact.constants.ts';
import type { Targets } from '../../Kernel/contract/module/artifact.schema.ts';
import { canonicalJson } from '../../Kernel/contract/module/canonical-json.ts';
import type { AssignBeginParams, AssignChunkParams } from '../../Kernel/contract/wire/agent.schema.ts';

const FILES_MAX = 10_000;
const PATH_BYTES_MAX = 512;

/** Relative, forward slashes only, no empty, `.` or `..` segment, no control characters. */
export const isSafePath = (path: string): boolean =>
  path !== '' &&
  Buffer.byteLength(path) <= PATH_BYTES_MAX &&
  !/[\u0000-\u001f\u007f\\]/.test(path) &&
  path.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');

type Receiving = {
  readonly bytes: number;
  readonly sha256: string;
  readonly hash: Hash;
  readonly target: string;
  received: number;
};

export type ModuleFiles = {
  /** @throws KernelError `INVALID_PARAMS`, `DIGEST_MISMATCH` (more bytes than announced) */
  readonly write: (chunk: AssignChunkParams) => void;
  /** All there and as announced, and together what the digest names? @throws KernelError `DIGEST_MISMATCH` */
  readonly finish: (digest: string) => void;
};

const invalid = (message: string): KernelError => new KernelError('INVALID_PARAMS', message);
const mismatch = (message: string): KernelError => new KernelError('DIGEST_MISMATCH', message);

/**
 * The digest of a module is that of its metadata, which names the hash of every file: so each byte that is about to
 * run is bound to the digest that the kernel asked for. Anything listed and not there, or there and not listed, is
 * not that module.
 */
const checkDigest = (metadata: string, hashes: ReadonlyMap<string, string>, digest: string): void => {
  const { signed } = JSON.parse(metadata) as Pick<Targets, 'signed'>;
  const found = `sha256:${createHash('sha256').update(canonicalJson(signed)).digest('hex')}`;
  if (found !== digest) throw mismatch(`the metadata has the digest ${found}, not ${digest}`);
  const prefix = `${signed.custom.tenant}/${signed.custom.name}/`;
  const listed = new Map(
    Object.entries(signed.targets).map(([path, target]) => [path.slice(prefix.length), target.hashes.sha256]),
  );
  for (const [path, sha256] of listed)
    if (hashes.get(path) !== sha256) throw mismatch(`${path} is not what the metadata lists`);
  for (const path of hashes.keys())
    if (path !== TARGETS_FILE && !listed.has(path)) throw mismatch(`${path} is not in the metadata`);
};

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
    finish: (digest) => {
      const hashes = new Map<string, string>();
      for (const [path, { bytes, received, sha256, hash }] of receiving) {
        if (received !== bytes) throw mismatch(`${path} has ${received} of ${bytes} bytes`);
        if (hash.digest('hex') !== sha256) throw mismatch(`${path} does not have the announced hash`);
        hashes.set(path, sha256);
      }
      const metadata = receiving.get(TARGETS_FILE);
      if (metadata !== undefined) checkDigest(readFileSync(metadata.target, 'utf8'), hashes, digest);
      receiving.clear();
    },
  };
};
