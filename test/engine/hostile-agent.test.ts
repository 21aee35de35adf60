/**
 * A real container whose agent is hostile. Whatever it does, the kernel ends it for a reason, puts its module into
 * quarantine, and spends a bounded amount of processor and memory on it, while a module in the other zone answers.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { toKernelError } from '../../Kernel/contract/errors.ts';
import type { InstanceExit } from '../../Kernel/contract/operations/shapes.ts';
import { eventually, startKernel, type KernelUnderTest } from '../support/kernel.ts';
import { tmpMiBOf, type Attack } from '../support/hostile-attacks.table.ts';
import { buildHostileImage, type HostileImage } from '../support/hostile-image.ts';
import { cpuMs, rssBytes, sameAs, takeSnapshot, type FullSnapshot } from '../support/snapshot.ts';
import { startWitness, type Witness } from '../support/witness.ts';

const MIB = 1024 * 1024;
/** The kernel may work on an attack, but most of a core stays for others. */
const KERNEL_SHARE = 0.75;
const KERNEL_GROWTH_BYTES = 128 * MIB;

const UIDS: readonly [number, number] = [232_000, 232_199];
/** The second death ends in quarantine. */
const config = (image: string): string => `apiVersion: kerneld/v1
pool: { memory: 3GiB, cpus: 2 }
zones:
  stable: { memory: 1GiB, cpus: 1, instance: { memory: 64MiB, cpus: 1, tmp: 8MiB, moduleTmp: 8MiB } }
  sandbox: { memory: 1GiB, cpus: 1, image: '${image}', instance: { memory: 128MiB, cpus: 1, tmp: 8MiB, moduleTmp: 8MiB } }
instances:
  uidRange: { first: ${UIDS[0]}, last: ${UIDS[1]} }
  startTimeout: 6s
  assignTimeout: 4s
  heartbeat: { interval: 300ms, limit: 2s }
restart:
  backoff: { initial: 50ms, max: 500ms, factor: 2, jitter: 0.2 }
  intensity: { restarts: 1, window: 60s }
`;

let image: HostileImage;
let kernel: KernelUnderTest;
let witness: Witness;
let before: FullSnapshot;
const figures: Record<string, unknown>[] = [];

beforeAll(async () => {
  image = await buildHostileImage();
  kernel = await startKernel({ config: config(image.tag) });
  witness = await startWitness(kernel, 'stable');
  before = await takeSnapshot(kernel, { uids: UIDS });
});
afterAll(async () => {
  console.table(figures);
  await witness?.[Symbol.asyncDispose]();
  await kernel?.[Symbol.asyncDispose]();
  await image?.[Symbol.asyncDispose]();
});

const unitOf = async (module: string) =>
  (await kernel.rpc('zone.inspect', { zone: 'sandbox' })).units.find((unit) => unit.module === module);

/** Lets an attack run until its module is in quarantine; tells by what it ended. */
const suffer = async (
  attack: Attack,
  meanwhile: (module: string) => Promise<unknown> = async () => {},
): Promise<InstanceExit> => {
  const module = `attack-${attack}`;
  const rssBefore = rssBytes(kernel.pid());
  const cpuBefore = cpuMs(kernel.pid());
  const startMs = performance.now();
  let rssMost = rssBefore;
  const watch = setInterval(() => (rssMost = Math.max(rssMost, rssBytes(kernel.pid()))), 50);
  const { value, report } = await witness
    .during(async () => {
      await kernel.install({
        name: module,
        code: 'export const ok = () => 1;',
        functions: { ok: {} },
        manifest: { resources: { memory: '128MiB', tmp: `${tmpMiBOf(attack)}MiB` } },
      });
      await meanwhile(module);
      return eventually('it is in quarantine, and its end is known', async () => {
        const unit = await unitOf(module);
        const left = (await kernel.status()).zones
          .flatMap(({ instances }) => instances)
          .some((row) => row.module === module);
        return unit?.state === 'quarantined' && !left ? unit.lastExit : null;
      });
    })
    .finally(() => clearInterval(watch));
  const tookMs = performance.now() - startMs;
  const share = (cpuMs(kernel.pid()) - cpuBefore) / tookMs;
  figures.push({
    attack,
    ends: value.cause,
    seconds: (tookMs / 1000).toFixed(1),
    'kernel % of a core': (share * 100).toFixed(0),
    'kernel growth MiB': ((rssMost - rssBefore) / MIB).toFixed(0),
    'witness p99 ms': report.p99Ms.toFixed(1),
    'witness max ms': report.maxMs.toFixed(1),
    detail: value.detail.slice(0, 60),
  });
  expect(report.failures).toEqual([]);
  // Of fewer calls the slowest is no quantile.
  if (report.calls >= 100) expect(report.p99Ms).toBeLessThan(250);
  else expect(report.p50Ms).toBeLessThan(100);
  expect(report.maxMs).toBeLessThan(2_000);
  expect(share).toBeLessThan(KERNEL_SHARE);
  expect(rssMost - rssBefore).toBeLessThan(KERNEL_GROWTH_BYTES);
  expect((await kernel.rpc('module.show', { module })).phase).toBe('quarantined');
  return value;
};

afterEach(async () => {
  for (const { name } of (await kernel.status()).modules)
    if (name !== 'witness') await kernel.rpc('module.remove', { module: name });
  expect(await sameAs(before, () => takeSnapshot(kernel, { uids: UIDS }))).toEqual(before);
});

describe('a hostile agent breaks the protocol', () => {
  const breaches: readonly (readonly [Attack, RegExp])[] = [
    ['connect-flood', /connections in a row ended without a hello/],
    ['no-hello', /not a valid hello/],
    ['other-protocol', /protocol 999/],
    ['other-instance', /another one/],
    ['claims-a-module', /holds sha256:0/],
    ['second-hello', /hello/],
    ['frame-flood', /frames a second/],
    ['request-flood', /frames a second/],
    ['ping-flood', /frames a second/],
    ['fragment-flood', /too many parts/],
    ['output-flood', /beyond its credit/],
    ['huge-frame', /larger than/],
    ['deep-nesting', /nests deeper/],
    ['malformed', /not JSON/],
    ['binary-frame', /binary/],
  ];
  it.each(breaches)('%s', async (attack, detail) => {
    const exit = await suffer(attack);
    expect(exit).toMatchObject({ cause: 'protocol' });
    expect(exit.detail).toMatch(detail);
  });

  it('reply-flood: it is over its bytes, or too slow for that and starved', async () => {
    const exit = await suffer('reply-flood');
    if (exit.cause === 'protocol') expect(exit.detail).toMatch(/bytes a second/);
    else expect(exit).toMatchObject({ cause: 'loadFailed', detail: 'the module did not load in time' });
  });

  it('huge-result: the call fails and the instance goes', async () => {
    const exit = await suffer('huge-result', async (module) => {
      for (let count = 0; count < 2; count += 1) {
        const failed = await kernel.call(module, 'ok', {}, 10_000).then(
          () => 'answered',
          (error: unknown) => toKernelError(error).code,
        );
        expect(failed).toBe('INSTANCE_LOST');
      }
    });
    expect(exit).toMatchObject({ cause: 'protocol', detail: expect.stringMatching(/larger than/) });
  });
});

describe('a hostile agent withholds', () => {
  it('slow-handshake, half-frame, answers-nothing: each is ended when its time is up', async () => {
    const [slow, half, nothing] = await Promise.all([
      suffer('slow-handshake'),
      suffer('half-frame'),
      suffer('answers-nothing'),
    ]);
    expect(slow).toMatchObject({ cause: 'startTimeout', detail: 'the agent did not connect in time' });
    expect(half).toMatchObject({ cause: 'loadFailed', detail: 'the module did not load in time' });
    expect(nothing).toMatchObject({ cause: 'loadFailed', detail: 'the module did not load in time' });
  });

  it('lies-about-digest: what it says it has loaded is not what it was sent', async () => {
    expect(await suffer('lies-about-digest')).toMatchObject({
      cause: 'loadFailed',
      detail: expect.stringMatching(/reports digest sha256:/),
    });
  });

  it('stops-reading: calls fail within their deadlines, what waits for it is bounded', async () => {
    const exit = await suffer('stops-reading', async (module) => {
      const large = 'x'.repeat(1.5 * MIB);
      for (let deaths = 0; deaths < 2; deaths += 1) {
        await kernel.call(module, 'ok', {}, 50).catch(() => {});
        const outcomes = await Promise.allSettled(
          Array.from({ length: 12 }, () => kernel.call(module, 'ok', { large }, 8_000)),
        );
        for (const outcome of outcomes) {
          expect(outcome.status).toBe('rejected');
          if (outcome.status === 'rejected') {
            expect([
              'INSTANCE_LOST',
              'LIMIT_EXCEEDED',
              'DEADLINE_EXCEEDED',
              'MODULE_UNAVAILABLE',
              'MODULE_QUARANTINED',
            ]).toContain((outcome.reason as { code: string }).code);
          }
        }
      }
    });
    expect(['protocol', 'unresponsive', 'deadline']).toContain(exit.cause);
  });
});
