/** Writes the bytes of a `.kmod`. */
import { gzipSync } from 'node:zlib';
import { TARGETS_FILE } from '../../Kernel/contract/module/artifact.schema.ts';
import { writeTar } from './ustar.ts';

/** Offset of the byte of the gzip header that names the operating system (RFC 1952, section 2.3). */
const GZIP_OS_OFFSET = 9;
const GZIP_OS_UNKNOWN = 255;

/**
 * Packs metadata and files, sorted by path, into a gzip tar whose bytes depend on nothing else.
 * (Another zlib may compress otherwise; the digest is of the content, so it stays the same.)
 */
export const writeArchive = (metadata: Uint8Array, files: ReadonlyMap<string, Uint8Array>): Buffer => {
  const entries = [...files]
    .map(([path, content]) => ({ path, content }))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const bytes = gzipSync(writeTar([{ path: TARGETS_FILE, content: metadata }, ...entries]), { level: 9 });
  // zlib writes time 0 by itself, and the system it was built for.
  bytes[GZIP_OS_OFFSET] = GZIP_OS_UNKNOWN;
  return bytes;
};
