/** The images of the engine: only made from a tar given to it, never pulled (DESIGN section 5). */
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { EngineClient } from './engine-client.ts';

export type StoredImage = {
  readonly id: string;
  readonly tags: readonly string[];
  readonly bytes: number;
  readonly createdAtSeconds: number;
};

/** @throws KernelError `ENGINE_UNREACHABLE`, `ENGINE_FAILED` */
export type ImageStore = {
  readonly has: (tag: string, signal: AbortSignal) => Promise<boolean>;
  /** Makes an image of a root file system given as tar; ends when the engine has committed and tagged it. */
  readonly import: (tag: string, tar: Readable, timeoutMs: number, signal: AbortSignal) => Promise<void>;
  /** A missing image is "already so"; one in use by a container is left and reported as false. */
  readonly remove: (tag: string, signal: AbortSignal) => Promise<boolean>;
  /** Images of one repository, as `kerneld-zone`. */
  readonly list: (repository: string, signal: AbortSignal) => Promise<readonly StoredImage[]>;
};

const listSchema = z.array(
  z.object({ Id: z.string(), RepoTags: z.nullish(z.array(z.string())), Size: z.number(), Created: z.number() }),
);

export const createImageStore = (client: EngineClient): ImageStore => ({
  has: async (tag, signal) => {
    const found = await client.request(
      // dockerode passes no signal on here; the limit of the request still holds for the caller.
      { what: 'look up an image', run: (docker) => docker.getImage(tag).inspect(), already: [404] },
      signal,
    );
    return found !== null;
  },
  import: async (tag, tar, timeoutMs, signal) => {
    const [repo, version] = splitTag(tag);
    const run = async (
      docker: Parameters<Parameters<typeof client.request>[0]['run']>[0],
      abortSignal: AbortSignal,
    ) => {
      const stream = await docker.importImage(tar, { repo, tag: version, abortSignal });
      await readProgress(stream);
    };
    await client.request({ what: 'import the zone image', run, timeoutMs }, signal);
  },
  remove: async (tag, signal) => {
    const run = (docker: Parameters<Parameters<typeof client.request>[0]['run']>[0], abortSignal: AbortSignal) =>
      docker.getImage(tag).remove({ force: false, abortSignal }) as Promise<unknown>;
    const removed = await client.request({ what: 'remove an image', run, already: [404, 409] }, signal);
    return removed !== null;
  },
  list: async (repository, signal) => {
    const answer = await client.request(
      {
        what: 'list images',
        run: (docker, abortSignal) => docker.listImages({ filters: { reference: [repository] }, abortSignal }),
      },
      signal,
    );
    return listSchema.parse(answer).map((image) => ({
      id: image.Id,
      tags: image.RepoTags ?? [],
      bytes: image.Size,
      createdAtSeconds: image.Created,
    }));
  },
});

const splitTag = (tag: string): readonly [string, string] => {
  const at = tag.lastIndexOf(':');
  return [tag.slice(0, at), tag.slice(at + 1)];
};

/** The engine answers 200 first and reports a failed import as a line of the progress stream. */
const readProgress = async (stream: NodeJS.ReadableStream): Promise<void> => {
  let text = '';
  for await (const chunk of stream) text = (text + chunk.toString()).slice(-65_536);
  const error = /"error"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(text)?.[1];
  if (error !== undefined)
    throw new KernelError('ENGINE_FAILED', `the container engine could not import the image: ${error.slice(0, 500)}`);
};
