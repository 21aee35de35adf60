/** Reads an artifact from an untrusted place, in memory; nothing touches the disk before it is checked. */
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { KernelError } from '../../Kernel/contract/errors.ts';
import { findPathFault } from '../../Kernel/contract/module/artifact-path.ts';
import { type Artifact, ARTIFACT_LIMITS, TARGETS_FILE } from '../../Kernel/contract/module/artifact.schema.ts';
import { checkArtifact } from './check-artifact.ts';
import { readTar } from './ustar.ts';

// `info` makes zlib return the engine too, which knows how much of the input it used; the types miss it.
const inflate = promisify(gunzip) as unknown as (
  bytes: Uint8Array,
  options: { readonly maxOutputLength: number; readonly info: true },
) => Promise<{ readonly buffer: Buffer; readonly engine: { readonly bytesWritten: number } }>;

/** Room for the headers and padding of the files. */
const TAR_OVERHEAD_BYTES = (ARTIFACT_LIMITS.files + 2) * 1024;

/**
 * Checks and reads a `.kmod`. Refused: links, devices, directories, absolute paths, `..`, names outside of
 * plain ASCII, names that are there twice or differ only in case, anything over `ARTIFACT_LIMITS`, anything
 * that the metadata does not name or names otherwise.
 *
 * @throws KernelError `ARTIFACT_INVALID`, `DIGEST_MISMATCH`, `MODULE_INVALID`
 */
export const readArtifact = async (bytes: Uint8Array): Promise<Artifact> => {
  const contents = new Map<string, Uint8Array>();
  const folded = new Set<string>();
  for (const { path, content } of readTar(await decompress(bytes))) {
    const fault = findPathFault(path);
    if (fault !== null)
      throw new KernelError('ARTIFACT_INVALID', fault, { context: { file: JSON.stringify(path.slice(0, 200)) } });
    if (folded.has(path.toLowerCase())) {
      throw new KernelError('ARTIFACT_INVALID', 'a file is there twice, or two differ only in the case of letters', {
        context: { file: path },
      });
    }
    folded.add(path.toLowerCase());
    contents.set(path, content);
  }
  const metadata = contents.get(TARGETS_FILE);
  contents.delete(TARGETS_FILE);
  if (metadata === undefined || metadata.length > ARTIFACT_LIMITS.metadataBytes) {
    throw new KernelError('ARTIFACT_INVALID', `${TARGETS_FILE} is missing or too large`, {
      context: { file: TARGETS_FILE },
      remedy: 'Pack the module with `kernelctl module pack`.',
    });
  }
  return checkArtifact(metadata, contents);
};

const decompress = async (bytes: Uint8Array): Promise<Buffer> => {
  if (bytes.length > ARTIFACT_LIMITS.compressedBytes) {
    throw new KernelError('ARTIFACT_INVALID', 'the artifact is larger than 16MiB', {
      context: { bytes: bytes.length },
    });
  }
  try {
    // maxOutputLength ends a gzip bomb when it passes the limit, not after it was unpacked.
    const { buffer, engine } = await inflate(bytes, {
      maxOutputLength: ARTIFACT_LIMITS.unpackedBytes + TAR_OVERHEAD_BYTES,
      info: true,
    });
    if (engine.bytesWritten === bytes.length) return buffer;
  } catch (cause) {
    const bomb = cause instanceof Error && 'code' in cause && cause.code === 'ERR_BUFFER_TOO_LARGE';
    throw new KernelError(
      'ARTIFACT_INVALID',
      bomb ? 'the artifact unpacks to more than 64MiB' : 'the artifact is not a whole gzip file',
      { cause },
    );
  }
  throw new KernelError('ARTIFACT_INVALID', 'something follows the end of the artifact');
};
