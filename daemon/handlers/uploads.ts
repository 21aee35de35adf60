/** Artifacts on their way in: a few at a time, in memory, bounded in size and life. */
import { createHash } from 'node:crypto';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { Clock, Random } from '../../Kernel/contract/ports.ts';

const MAX_UPLOADS = 4;
const LIFETIME_MS = 60_000;

type Upload = { readonly bytes: Buffer; readonly sha256: string; received: number; readonly cancel: () => void };

export type Uploads = {
  /** @throws KernelError `LIMIT_EXCEEDED` when too many are under way */
  readonly open: (bytes: number, sha256: string) => string;
  /** Repeating a part that has arrived is "already so". @throws KernelError `NOT_FOUND`, `INVALID_PARAMS` */
  readonly write: (id: string, offset: number, base64: string) => number;
  /** Gives the bytes, once. @throws KernelError `NOT_FOUND`, `INVALID_PARAMS` (not complete), `DIGEST_MISMATCH` */
  readonly take: (id: string) => Buffer;
};

export const createUploads = ({ clock, random }: { readonly clock: Clock; readonly random: Random }): Uploads => {
  const uploads = new Map<string, Upload>();
  const find = (id: string): Upload => {
    const upload = uploads.get(id);
    if (upload === undefined) throw new KernelError('NOT_FOUND', 'no such upload, or it took longer than a minute');
    return upload;
  };
  const drop = (id: string): void => {
    uploads.get(id)?.cancel();
    uploads.delete(id);
  };
  return {
    open: (bytes, sha256) => {
      if (uploads.size >= MAX_UPLOADS) {
        throw new KernelError('LIMIT_EXCEEDED', `${MAX_UPLOADS} uploads are under way`, { retryAfterMs: LIFETIME_MS });
      }
      const id = random.hex(16);
      uploads.set(id, {
        bytes: Buffer.alloc(bytes),
        sha256,
        received: 0,
        cancel: clock.after(LIFETIME_MS, () => drop(id)),
      });
      return id;
    },
    write: (id, offset, base64) => {
      const upload = find(id);
      const part = Buffer.from(base64, 'base64');
      if (offset + part.byteLength <= upload.received) return upload.received;
      if (offset !== upload.received || offset + part.byteLength > upload.bytes.byteLength) {
        throw new KernelError(
          'INVALID_PARAMS',
          `expected a part at offset ${upload.received}, within ${upload.bytes.byteLength} bytes`,
        );
      }
      part.copy(upload.bytes, offset);
      upload.received += part.byteLength;
      return upload.received;
    },
    take: (id) => {
      const upload = find(id);
      drop(id);
      if (upload.received !== upload.bytes.byteLength) {
        throw new KernelError(
          'INVALID_PARAMS',
          `the upload has ${upload.received} of ${upload.bytes.byteLength} bytes`,
        );
      }
      if (createHash('sha256').update(upload.bytes).digest('hex') !== upload.sha256) {
        throw new KernelError('DIGEST_MISMATCH', 'the upload does not have the announced sha256');
      }
      return upload.bytes;
    },
  };
};
