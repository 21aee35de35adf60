/** Streams the root file system of the zone image as tar; the 150 MB of Node never stand in memory at once. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import { KernelError } from '../../Kernel/contract/errors.ts';
import { planDirectories } from './layout.plan.ts';
import type { ImageFile } from './layout.plan.ts';

/** A file of the image and where its content comes from. */
export type ImageSource = ImageFile & { readonly content: string | Buffer };

/** Same time on every entry, so that equal content gives equal layers. */
const MTIME = new Date(0);

/** The stream fails if a file no longer has the digest that names the image. */
export const packImage = (sources: readonly ImageSource[], signal: AbortSignal): Readable => {
  const tar = pack();
  const fill = async (): Promise<void> => {
    for (const { path, mode } of planDirectories(sources)) {
      tar.entry({ name: `${path.slice(1)}/`, type: 'directory', mode, mtime: MTIME, uid: 0, gid: 0 });
    }
    for (const source of sources) await packFile(tar, source, signal);
    tar.finalize();
  };
  fill().catch((error: unknown) => tar.destroy(error as Error));
  return tar as unknown as Readable;
};

const packFile = async (tar: ReturnType<typeof pack>, source: ImageSource, signal: AbortSignal): Promise<void> => {
  const header = { name: source.path.slice(1), mode: source.mode, size: source.bytes, mtime: MTIME, uid: 0, gid: 0 };
  if (typeof source.content !== 'string') {
    tar.entry(header, source.content);
    return;
  }
  const entry = tar.entry(header);
  await pipeline(createReadStream(source.content, { highWaterMark: 256 * 1024 }), digestCheck(source), entry, {
    signal,
  });
};

/** The digest may have come from the cache by stat: what is really read must still have it. */
const digestCheck = (source: ImageSource): Transform => {
  const hash = createHash('sha256');
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      hash.update(chunk);
      done(null, chunk);
    },
    flush: (done) => {
      if (hash.digest('hex') === source.sha256) return done();
      done(new KernelError('IMAGE_UNAVAILABLE', `${String(source.content)} changed while the image was built`));
    },
  });
};
