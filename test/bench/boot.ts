/** `boot`: from the start of the process to both zones ready; adoption of fifty instances; one build of the image. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { createClock } from '../../daemon/adapters/clock.ts';
import { createDockerEngine } from '../../zones/docker/docker-engine.ts';
import type { ImageStore } from '../../zones/docker/image-store.ts';
import { bundleAgent } from '../../zones/image/agent-bundle.ts';
import { IMAGE_REPOSITORY } from '../../zones/image/layout.plan.ts';
import { ensureZoneImage } from '../../zones/image/zone-image.ts';
import type { Status } from '../../Kernel/contract/operations/shapes.ts';
import { ENGINE_HOST, PROJECT, type KernelUnderTest } from '../support/kernel.ts';
import { timeTwoContainers } from './engine-peer.ts';
import { atMost, row, type Row } from './row.ts';
import { median } from './statistics.ts';
import { greeter, readyInstances, startSubject } from './subject.ts';

const BOOTS = 5;
/** Fifty instances, installed a few at a time: fifty starts at once would only measure how the machine chokes. */
const MODULES = 10;
const INSTANCES_EACH = 5;
const ADOPTED = MODULES * INSTANCES_EACH;
const ADOPTIONS = 3;
const GOAL_MS = 1_000;
const POLL_MS = 5;
const LIMIT_MS = 60_000;
const BUILD_TIMEOUT_MS = 120_000;

/** Starts it and asks until the status says what is waited for. Gives the milliseconds since the start. */
const timeStart = async (kernel: KernelUnderTest, up: (status: Status) => boolean): Promise<number> => {
  const startedMs = performance.now();
  await kernel.start({ awaitUp: false });
  for (;;) {
    try {
      if (up(await kernel.status())) return performance.now() - startedMs;
    } catch (error) {
      if (performance.now() - startedMs > LIMIT_MS) throw error;
    }
    if (performance.now() - startedMs > LIMIT_MS) throw new Error(`not up in time:\n${kernel.output()}`);
    await delay(POLL_MS);
  }
};

const zonesReady = ({ mode, zones }: Status): boolean =>
  mode === 'running' && zones.length === 2 && zones.every(({ state }) => state === 'ready');

const timeBoots = async (kernel: KernelUnderTest, boots: number[], own: number[], floor: number[]): Promise<void> => {
  for (let run = 0; run < BOOTS; run += 1) {
    await kernel.terminate();
    floor.push(await timeTwoContainers());
    boots.push(await timeStart(kernel, zonesReady));
    own.push((await kernel.status()).bootMs ?? Number.NaN);
  }
};

/** Every instance must be the very one that ran before: same id, same process, no restart. */
const timeAdoptions = async (kernel: KernelUnderTest): Promise<number[]> => {
  const samples: number[] = [];
  const before = new Map((await readyInstances(kernel, ADOPTED)).map((one) => [one.id, one]));
  for (let run = 0; run < ADOPTIONS; run += 1) {
    await kernel.kill9();
    const same = (status: Status): boolean =>
      zonesReady(status) &&
      status.zones
        .flatMap(({ instances }) => instances)
        .filter(({ id, pid, restarts, state }) => {
          const known = before.get(id);
          return state === 'ready' && known !== undefined && known.pid === pid && known.restarts === restarts;
        }).length === before.size;
    samples.push(await timeStart(kernel, same));
  }
  return samples;
};

/** The whole of the first start on a machine: bundling, packing, importing. Under a tag of its own, then removed. */
const timeImageBuild = async (): Promise<number> => {
  const cacheDirectory = mkdtempSync('/tmp/kb-');
  const signal = AbortSignal.timeout(BUILD_TIMEOUT_MS);
  const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const log = { ...quiet, critical: () => undefined, child: () => log };
  const clock = createClock();
  const engine = createDockerEngine({ host: ENGINE_HOST, clock, log, requestTimeoutMs: BUILD_TIMEOUT_MS });
  const tag = `${IMAGE_REPOSITORY}-bench:${randomBytes(6).toString('hex')}`;
  const images: ImageStore = {
    ...engine.images,
    has: () => Promise.resolve(false),
    import: (_, ...rest) => engine.images.import(tag, ...rest),
  };
  const startedMs = performance.now();
  try {
    const bundle = (entry: string): Promise<Buffer> =>
      bundleAgent({ entry, projectDirectory: PROJECT, cacheDirectory, signal });
    const [agent, probe] = [await bundle('zones/agent/main.ts'), await bundle('zones/probe/probe.ts')];
    await ensureZoneImage(
      {
        images,
        nodePath: process.execPath,
        agent,
        probe,
        cacheDirectory,
        clock,
        log,
        buildTimeoutMs: BUILD_TIMEOUT_MS,
      },
      signal,
    );
    return performance.now() - startedMs;
  } finally {
    await engine.images.remove(tag, signal);
    rmSync(cacheDirectory, { recursive: true, force: true });
  }
};

export const benchBoot = async (): Promise<Row[]> => {
  const boots: number[] = [];
  const own: number[] = [];
  const floor: number[] = [];
  // Also the warm-up: image, caches of bundles and compiled code are there afterwards.
  await using kernel = await startSubject();
  await timeBoots(kernel, boots, own, floor);
  for (let i = 1; i <= MODULES; i += 1) {
    await kernel.install(greeter(`greeter-${i}`, INSTANCES_EACH));
    await readyInstances(kernel, i * INSTANCES_EACH);
  }
  const adoptions = await timeAdoptions(kernel);
  const imageMs = await timeImageBuild();
  const bootMs = median(boots);
  const adoptionMs = median(adoptions);
  return [
    row({
      name: 'boot',
      what: 'process start to both zones ready',
      unit: 'ms',
      median: bootMs,
      beside: { what: 'engine: two containers run', median: median(floor) },
      goal: atMost('<= 1 s', bootMs, GOAL_MS),
    }),
    row({ name: 'boot', what: '  of which kerneld itself counts', unit: 'ms', median: median(own) }),
    row({
      name: 'boot',
      what: `start after SIGKILL to ${ADOPTED} adopted`,
      unit: 'ms',
      median: adoptionMs,
      goal: atMost('<= 1 s, no restart', adoptionMs, GOAL_MS),
    }),
    row({ name: 'boot', what: 'image build, once a machine', unit: 'ms', median: imageMs }),
  ];
};
