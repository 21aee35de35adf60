import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nestsDeeperThan } from '../../../../zones/link/nesting.verdict.ts';

const depthOf = (value: unknown): number =>
  typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0;

describe('nestsDeeperThan', () => {
  it('agrees with a walk over the parsed value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.integer({ min: 0, max: 7 }), (value, max) => {
        expect(nestsDeeperThan(Buffer.from(JSON.stringify(value)), max)).toBe(depthOf(value) > max);
      }),
      { numRuns: 2000 },
    );
  });

  it('does not count brackets inside strings, whatever is escaped in them', () => {
    for (const text of ['[[[[', '"[[[[', '\\[[[[', '\\\\"[[[[', '\\\\', '"']) {
      expect(nestsDeeperThan(Buffer.from(JSON.stringify({ text, [text]: 1 })), 1)).toBe(false);
    }
  });

  it('judges a megabyte of brackets and of quotes in a few milliseconds', () => {
    const startMs = performance.now();
    expect(nestsDeeperThan(Buffer.alloc(1 << 20, '['), 32)).toBe(true);
    nestsDeeperThan(Buffer.alloc(1 << 20, '"'), 32);
    nestsDeeperThan(Buffer.alloc(1 << 20, '\\"'), 32);
    nestsDeeperThan(Buffer.alloc(1 << 20, '[]'), 32);
    expect(performance.now() - startMs).toBeLessThan(200);
  });
});
