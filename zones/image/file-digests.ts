/**
 * sha256 of files, remembered by what tells cheaply that a file is the same: path, size, inode, and the times of
 * change of content and inode. Hashing the 150 MB of Node costs more than the rest of a boot.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';

export const fingerprintSchema = z.object({
  path: z.string(),
  bytes: z.number(),
  /** ctime can't be set back by a user, unlike mtime. */
  times: z.string(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type Fingerprint = z.infer<typeof fingerprintSchema>;

export const sha256Of = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');

const identityOf = async (path: string): Promise<Omit<Fingerprint, 'sha256'>> => {
  const facts = await stat(path, { bigint: true });
  return { path, bytes: Number(facts.size), times: `${facts.mtimeNs}.${facts.ctimeNs}.${facts.ino}.${facts.dev}` };
};

/** Whether the file is, as far as stat tells, the one that was hashed. A missing file is not. */
export const isUnchanged = async (known: Fingerprint): Promise<boolean> => {
  const now = await identityOf(known.path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  });
  return now !== null && now.bytes === known.bytes && now.times === known.times;
};

/** The identity is read before the content: a change while hashing makes the next look miss, and never hit. */
export const fingerprintFile = async (
  path: string,
  known: readonly Fingerprint[],
  signal: AbortSignal,
): Promise<Fingerprint> => {
  const identity = await identityOf(path);
  const hit = known.find((one) => one.path === path && one.bytes === identity.bytes && one.times === identity.times);
  if (hit !== undefined) return hit;
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash, { signal });
  return { ...identity, sha256: hash.digest('hex') };
};
