import { describe, expect, it } from 'vitest';
import { decideAdmission, type Claim } from '../../../../../Kernel/core/resource-governor/admission.verdict.ts';

const claims = (...bytes: number[]): Claim[] => bytes.map((memoryBytes) => ({ memoryBytes }));

describe('decideAdmission', () => {
  it('admits what fits, to the last byte', () => {
    expect(decideAdmission({ memoryBytes: 300, maxInstances: 9 }, claims(100, 100), { memoryBytes: 100 })).toEqual({
      admitted: true,
    });
    expect(
      decideAdmission({ memoryBytes: 300, maxInstances: 9 }, claims(100, 100), { memoryBytes: 101 }),
    ).toMatchObject({
      admitted: false,
      freeBytes: 100,
      askedBytes: 101,
      reason: expect.stringContaining('100 of 300 are free'),
    });
  });

  it('counts instances, whatever their size', () => {
    expect(decideAdmission({ memoryBytes: 300, maxInstances: 2 }, claims(0, 0), { memoryBytes: 1 })).toMatchObject({
      admitted: false,
      reason: 'the zone has 2 of 2 instances',
    });
  });

  it('refuses everything once more is held than there is, and never speaks of less than nothing', () => {
    const verdict = decideAdmission({ memoryBytes: 100, maxInstances: 9 }, claims(90, 90), { memoryBytes: 1 });
    expect(verdict).toMatchObject({ admitted: false, reason: expect.stringContaining(' 0 of 100') });
  });

  it('never admits so many that they hold more than the zone has', () => {
    for (let seed = 1; seed <= 500; seed += 1) {
      const capacity = { memoryBytes: 64 + ((seed * 7_919) % 2_000), maxInstances: 1 + (seed % 7) };
      const held: Claim[] = [];
      for (let asked = 1; asked <= 20; asked += 1) {
        const claim = { memoryBytes: (seed * 104_729 * asked) % 500 };
        if (decideAdmission(capacity, held, claim).admitted) held.push(claim);
      }
      expect(held.length).toBeLessThanOrEqual(capacity.maxInstances);
      expect(held.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0)).toBeLessThanOrEqual(capacity.memoryBytes);
    }
  });
});
