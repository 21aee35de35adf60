import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createItemQueue, INITIAL_CREDIT } from '../../../../daemon/client/item-queue.ts';
import { KernelError } from '../../../../Kernel/contract/errors.ts';

describe('the queue of a stream', () => {
  it('refuses an item without credit', () => {
    const queue = createItemQueue(() => {});
    for (let seq = 0; seq < INITIAL_CREDIT; seq += 1) queue.push(seq, seq);
    expect(() => queue.push(INITIAL_CREDIT, 0)).toThrow(KernelError);
  });

  it('refuses a gap and a repetition', () => {
    for (const seq of [0, 2]) {
      const queue = createItemQueue(() => {});
      queue.push(0, 'a');
      expect(() => queue.push(seq, 'b')).toThrow(/after item 0/);
    }
  });

  it('gives what is here before its end, whatever the end', async () => {
    const queue = createItemQueue(() => {});
    queue.push(0, 'a');
    queue.end({ error: new KernelError('STOPPING', 'over') });
    queue.end({ error: null });
    expect(await queue.take()).toEqual({ item: 'a' });
    await expect(queue.take()).rejects.toMatchObject({ code: 'STOPPING' });
  });

  it('never lets more wait than was granted, and grants all that was taken but a part', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { maxLength: 600 }), async (steps) => {
        let credit = INITIAL_CREDIT;
        let pushed = 0;
        let taken = 0;
        const queue = createItemQueue((items) => {
          credit += items;
        });
        for (const push of steps) {
          if (push && pushed < credit) {
            queue.push(pushed, pushed);
            pushed += 1;
          }
          if (!push && taken < pushed) {
            expect(await queue.take()).toEqual({ item: taken });
            taken += 1;
          }
          expect(pushed - taken).toBeLessThanOrEqual(INITIAL_CREDIT);
          expect(credit - taken).toBeGreaterThan(INITIAL_CREDIT / 2 - 1);
        }
      }),
      { numRuns: 50 },
    );
  });
});
