/** Makes sure that the engine has the zone image, building it when its content changed (DESIGN section 5). */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import type { Clock, Log } from '../../Kernel/contract/ports.ts';
import type { ImageStore } from '../docker/image-store.ts';
import { readCacheFile, writeCacheFile } from './cache-file.ts';
import { fingerprintFile, fingerprintSchema, isUnchanged, sha256Of } from './file-digests.ts';
import type { Fingerprint } from './file-digests.ts';
import { packImage } from './image-tar.ts';
import type { ImageSource } from './image-tar.ts';
import { AGENT_PATH, describeContent, IMAGE_REPOSITORY, imageTag, NODE_PATH, PROBE_PATH } from './layout.plan.ts';
import { readLibraries } from './library-list.ts';

export type ZoneImageOptions = {
  readonly images: ImageStore;
  /** The Node binary that goes in; `process.execPath` of the daemon, so that both share one V8. */
  readonly nodePath: string;
  readonly agent: Buffer;
  readonly probe: Buffer;
  /** Where digests are remembered between boots. */
  readonly cacheDirectory: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly buildTimeoutMs: number;
};

export type ZoneImage = {
  readonly tag: string;
  /** False when the engine had it already. */
  readonly built: boolean;
  readonly ms: number;
};

/** @throws KernelError `IMAGE_UNAVAILABLE`, or the engine's `ENGINE_UNREACHABLE` */
export const ensureZoneImage = async (options: ZoneImageOptions, signal: AbortSignal): Promise<ZoneImage> => {
  const { images, clock, log } = options;
  const startedMs = clock.monotonicMs();
  const sources = await collectSources(options, signal);
  const tag = imageTag(sha256Of(Buffer.from(describeContent(sources))));
  const had = await images.has(tag, signal);
  if (!had) {
    log.info('building the zone image', { tag, files: sources.length });
    await buildImage(options, tag, sources, signal);
  }
  const ms = clock.monotonicMs() - startedMs;
  log.info(had ? 'zone image is present' : 'zone image is built', { tag, ms });
  return { tag, built: !had, ms };
};

const buildImage = async (
  { images, buildTimeoutMs }: ZoneImageOptions,
  tag: string,
  sources: readonly ImageSource[],
  signal: AbortSignal,
): Promise<void> => {
  const tar = packImage(sources, signal);
  try {
    await images.import(tag, tar, buildTimeoutMs, signal);
  } catch (thrown) {
    const error = toKernelError(thrown);
    if (error.code !== 'ENGINE_FAILED') throw error;
    throw new KernelError('IMAGE_UNAVAILABLE', error.message, {
      cause: error,
      remedy: 'check the free disk space under the data root of the engine',
    });
  } finally {
    tar.destroy();
  }
};

/**
 * Removes zone images that an earlier program left behind. Those in use by a container stay, those named in `keep`
 * too, and young ones: another home on this engine may be about to use what it just made.
 *
 * @returns the tags removed
 */
export const sweepZoneImages = async (
  options: { readonly images: ImageStore; readonly keep: ReadonlySet<string>; readonly madeBeforeMs: number },
  signal: AbortSignal,
): Promise<readonly string[]> => {
  const removed: string[] = [];
  for (const image of await options.images.list(IMAGE_REPOSITORY, signal)) {
    if (image.createdAtSeconds * 1000 >= options.madeBeforeMs) continue;
    for (const tag of image.tags) {
      const ours = tag.startsWith(`${IMAGE_REPOSITORY}:`) && !options.keep.has(tag);
      if (ours && (await options.images.remove(tag, signal))) removed.push(tag);
    }
  }
  return removed;
};

const knownSchema = z.object({ node: fingerprintSchema, libraries: z.array(fingerprintSchema) });

/** Node, its libraries and loader at the paths where the loader looks for them, and the bundled programs. */
const collectSources = async (options: ZoneImageOptions, signal: AbortSignal): Promise<readonly ImageSource[]> => {
  const nodePath = await realpath(options.nodePath);
  const cachePath = join(options.cacheDirectory, 'zone-image.json');
  const known = await readCacheFile(cachePath, knownSchema);
  const fresh = await fingerprintNode(nodePath, known, signal);
  if (fresh !== known) await writeCacheFile(cachePath, JSON.stringify(fresh));
  const { node, libraries } = fresh;
  return [
    fileSource(NODE_PATH, node, 0o755),
    ...libraries.map((library) => fileSource(library.path, library, 0o755)),
    bufferSource(AGENT_PATH, options.agent),
    bufferSource(PROBE_PATH, options.probe),
  ];
};

type Known = z.infer<typeof knownSchema>;

/** ldd runs again whenever Node or one of its libraries changed; a library that moved changes its path's stat. */
const fingerprintNode = async (nodePath: string, known: Known | null, signal: AbortSignal): Promise<Known> => {
  if (known !== null && known.node.path === nodePath) {
    const same = await Promise.all([known.node, ...known.libraries].map(isUnchanged));
    if (!same.includes(false)) return known;
  }
  const node = await fingerprintFile(nodePath, known === null ? [] : [known.node], signal);
  const paths = await readLibraries(nodePath, signal);
  const libraries = await Promise.all(paths.map((path) => fingerprintFile(path, [], signal)));
  return { node, libraries };
};

const fileSource = (path: string, file: Fingerprint, mode: number): ImageSource => ({
  path,
  mode,
  bytes: file.bytes,
  sha256: file.sha256,
  content: file.path,
});

const bufferSource = (path: string, content: Buffer): ImageSource => ({
  path,
  mode: 0o644,
  bytes: content.length,
  sha256: sha256Of(content),
  content,
});
