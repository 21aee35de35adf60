import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import type { HomeId } from '../../../../Kernel/contract/ids.ts';
import { planInstanceSpec } from '../../../../zones/instance-spec/instance-spec.plan.ts';
import type { ZoneInstanceSettings } from '../../../../zones/instance-spec/instance-spec.plan.ts';
import { oldSpaceMiB } from '../../../../zones/instance-spec/node-flags.plan.ts';
import { chooseSizeClass } from '../../../../zones/instance-spec/size-class.verdict.ts';

const MIB = 1024 * 1024;
const home = '0123456789ab' as HomeId;
const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
const settings: ZoneInstanceSettings = {
  zone: 'sandbox',
  image: 'kerneld-zone:0',
  runtime: 'runc',
  memoryBytes: 128 * MIB,
  cpus: 1,
  pids: 64,
  nofile: 1024,
  tmpBytes: 32 * MIB,
  moduleTmpBytes: 16 * MIB,
  seccompProfile: '{}',
  orphanTimeoutMs: 600_000,
};
const plan = (change: Partial<ZoneInstanceSettings> = {}) => planInstanceSpec(home, { ...settings, ...change }, hash);

describe('planInstanceSpec', () => {
  it('rounds memory up to a declared class', () => {
    expect(plan({ memoryBytes: 1 })).toMatchObject({ sizeClass: '64MiB', memoryBytes: 64 * MIB });
    expect(plan({ memoryBytes: 65 * MIB })).toMatchObject({ sizeClass: '128MiB' });
    expect(chooseSizeClass(1024 * MIB)?.name).toBe('1GiB');
    expect(() => plan({ memoryBytes: 1024 * MIB + 1 })).toThrow(expect.objectContaining({ code: 'MODULE_INVALID' }));
  });

  it('leaves 48 MiB of the limit beside both tmpfs', () => {
    expect(plan({ memoryBytes: 64 * MIB })).toMatchObject({ tmpBytes: 16 * MIB - 5591040, moduleTmpBytes: 5591040 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1024 * MIB }),
        fc.integer({ min: 4096, max: 2048 * MIB }),
        fc.integer({ min: 4096, max: 2048 * MIB }),
        (memoryBytes, tmpBytes, moduleTmpBytes) => {
          const spec = plan({ memoryBytes, tmpBytes, moduleTmpBytes });
          expect(spec.tmpBytes + spec.moduleTmpBytes).toBeLessThanOrEqual(spec.memoryBytes - 48 * MIB);
          expect(Math.min(spec.tmpBytes, spec.moduleTmpBytes)).toBeGreaterThanOrEqual(4096);
          expect(spec.tmpBytes).toBeLessThanOrEqual(Math.max(tmpBytes, 4096));
          expect(spec.moduleTmpBytes).toBeLessThanOrEqual(Math.max(moduleTmpBytes, 4096));
        },
      ),
    );
  });

  it('gives the heap what the runtime leaves', () => {
    expect([64, 128, 256, 512, 1024].map((memory) => oldSpaceMiB(memory * MIB))).toEqual([24, 88, 204, 409, 819]);
  });

  it('runs Node restricted, with one flag for each path', () => {
    expect(plan().command).toMatchInlineSnapshot(`
      [
        "/usr/bin/node",
        "--disallow-code-generation-from-strings",
        "--permission",
        "--allow-net",
        "--allow-fs-read=/agent",
        "--allow-fs-read=/module",
        "--allow-fs-read=/tmp",
        "--allow-fs-write=/module",
        "--allow-fs-write=/tmp",
        "--allow-fs-write=/dev/null",
        "--disable-warning=ExperimentalWarning",
        "--disable-warning=SecurityWarning",
        "--disable-sigusr1",
        "--max-old-space-size=88",
        "--max-semi-space-size=2",
        "/agent/agent.mjs",
      ]
    `);
    expect(plan({ zone: 'stable' }).command).toEqual(
      expect.arrayContaining(['--allow-child-process', '--allow-worker']),
    );
  });

  it('has the same digest for the same settings and another for every change', () => {
    const changes: Partial<ZoneInstanceSettings>[] = [
      {},
      { zone: 'stable' },
      { image: 'x' },
      { runtime: 'runsc' },
      { memoryBytes: 64 * MIB },
      { cpus: 2 },
      { pids: 65 },
      { nofile: 1 },
      { tmpBytes: 4096 },
      { moduleTmpBytes: 4096 },
      { seccompProfile: '{"x":1}' },
      { orphanTimeoutMs: 1 },
    ];
    const digests = changes.map((change) => plan(change).specDigest);
    expect(new Set(digests).size).toBe(changes.length);
    expect(plan().specDigest).toBe(digests[0]);
  });
});
