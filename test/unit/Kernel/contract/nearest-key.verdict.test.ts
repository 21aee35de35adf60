import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editDistance, nearestKey } from '../../../../Kernel/contract/nearest-key.verdict.ts';

describe('nearestKey', () => {
  const known = ['memory', 'cpus', 'maxInstances', 'startTimeout', 'image'];
  it.each([
    ['memroy', 'memory'],
    ['memoryBytes', 'memory'],
    ['Memory', 'memory'],
    ['cpu', 'cpus'],
    ['max_instances', 'maxInstances'],
    ['max-instances', 'maxInstances'],
    ['startTimeoutMs', 'startTimeout'],
    ['imgae', 'image'],
    ['network', undefined],
    ['', undefined],
    ['x'.repeat(1000), undefined],
  ])('%j -> %j', (written, meant) => expect(nearestKey(written, known)).toBe(meant));
});

describe('editDistance', () => {
  it('is zero only for equal words, symmetric, and at most the longer length', () => {
    const word = fc.string({ maxLength: 12 });
    fc.assert(
      fc.property(word, word, (a, b) => {
        const distance = editDistance(a, b);
        expect(distance === 0).toBe(a === b);
        expect(editDistance(b, a)).toBe(distance);
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });
});
