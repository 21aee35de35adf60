/** A zone image with the hostile agent in it, made as the real one is. */
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { createClock } from '../../daemon/adapters/clock.ts';
import { createDockerEngine } from '../../zones/docker/docker-engine.ts';
import { bundleAgent } from '../../zones/image/agent-bundle.ts';
import { ensureZoneImage } from '../../zones/image/zone-image.ts';
import { ENGINE_HOST, PROJECT } from './kernel.ts';

const log = { debug() {}, info() {}, warn() {}, error() {}, critical() {}, child: () => log };

export type HostileImage = AsyncDisposable & { readonly tag: string };

export const buildHostileImage = async (): Promise<HostileImage> => {
  const cacheDirectory = await mkdtemp('/tmp/kt-image-');
  const signal = AbortSignal.timeout(100_000);
  const clock = createClock();
  const { images } = createDockerEngine({ host: ENGINE_HOST, clock, log, requestTimeoutMs: 30_000 });
  try {
    const bundle = (entry: string) => bundleAgent({ entry, projectDirectory: PROJECT, cacheDirectory, signal });
    const { tag } = await ensureZoneImage(
      {
        images,
        nodePath: process.execPath,
        agent: await bundle('test/support/hostile-agent.ts'),
        probe: await bundle('zones/probe/probe.ts'),
        cacheDirectory,
        clock,
        log,
        buildTimeoutMs: 100_000,
      },
      signal,
    );
    return { tag, [Symbol.asyncDispose]: async () => void (await images.remove(tag, AbortSignal.timeout(30_000))) };
  } finally {
    rmSync(cacheDirectory, { recursive: true, force: true });
  }
};
