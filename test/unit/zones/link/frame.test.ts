import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import { parseFrame } from '../../../../zones/link/frame.ts';

const parse = (value: unknown) => parseFrame(Buffer.from(JSON.stringify(value)), 32);
const codeOf = (fn: () => unknown): string => {
  try {
    fn();
  } catch (error) {
    expect(error).toBeInstanceOf(KernelError);
    return (error as KernelError).code;
  }
  return 'accepted';
};

describe('parseFrame', () => {
  it('tells requests, results and errors apart', () => {
    expect(parse({ jsonrpc: '2.0', id: 1, method: 'm' }).kind).toBe('request');
    expect(parse({ jsonrpc: '2.0', id: 'a', result: null })).toEqual({ kind: 'result', id: 'a', result: null });
    expect(parse({ jsonrpc: '2.0', id: 'a', error: { code: 1, message: 'm' } }).kind).toBe('error');
  });

  it('refuses what is neither or both, and keys nobody knows', () => {
    const refused = [
      null,
      1,
      'x',
      [],
      {},
      { jsonrpc: '2.0', id: 1 },
      { jsonrpc: '1.0', id: 1, result: 1 },
      { id: 1, result: 1 },
      { jsonrpc: '2.0', result: 1 },
      { jsonrpc: '2.0', id: null, result: 1 },
      { jsonrpc: '2.0', id: 1.5, result: 1 },
      { jsonrpc: '2.0', id: 1, result: 1, error: { code: 1, message: '' } },
      { jsonrpc: '2.0', id: 1, result: 1, more: 1 },
      { jsonrpc: '2.0', id: 1, method: 'm', result: 1 },
      { jsonrpc: '2.0', id: 1, method: 'm'.repeat(65) },
      { jsonrpc: '2.0', id: 'x'.repeat(65), result: 1 },
    ];
    for (const value of refused)
      expect(
        codeOf(() => parse(value)),
        JSON.stringify(value),
      ).toBe('PROTOCOL');
  });

  it('answers any bytes and any JSON with a frame or a KernelError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(['accepted', 'PROTOCOL', 'LIMIT_EXCEEDED']).toContain(codeOf(() => parseFrame(Buffer.from(bytes), 32)));
      }),
    );
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.jsonValue(), (one, two) => {
        const value = { jsonrpc: '2.0', id: one, method: two, result: one, error: two };
        expect(['accepted', 'PROTOCOL', 'LIMIT_EXCEEDED']).toContain(codeOf(() => parse(value)));
        expect(['accepted', 'PROTOCOL', 'LIMIT_EXCEEDED']).toContain(
          codeOf(() => parse({ jsonrpc: '2.0', id: 1, error: one })),
        );
      }),
    );
  });
});
