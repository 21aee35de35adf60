import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outputCostBytes } from '../../../../Kernel/contract/wire/agent.constants.ts';
import type { OutputParams } from '../../../../Kernel/contract/wire/agent.schema.ts';
import { createLineSplitter, cutMark } from '../../../../zones/agent/output-lines.ts';
import { createOutputRing } from '../../../../zones/agent/output-ring.ts';
import { createOutput } from '../../../../zones/agent/output.ts';

describe('createLineSplitter', () => {
  it('gives the same lines however the text is divided, each cut at the same byte', () => {
    const text = fc
      .array(fc.oneof(fc.constant('\n'), fc.constantFrom('a', 'é', '€', '😀', 'bc')), { maxLength: 80 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 9 }), (whole, maxBytes, step) => {
        const split = (pieces: string[]): string[] => {
          const lines: string[] = [];
          const splitter = createLineSplitter(maxBytes, (line) => lines.push(line));
          for (const piece of pieces) splitter.push(piece);
          splitter.flush();
          return lines;
        };
        const characters = Array.from(whole);
        const pieces: string[] = [];
        for (let index = 0; index < characters.length; index += step)
          pieces.push(characters.slice(index, index + step).join(''));
        expect(split(pieces)).toEqual(split([whole]));
        for (const [index, line] of split([whole]).entries()) {
          const original = whole.split('\n')[index] ?? '';
          if (Buffer.byteLength(original) <= maxBytes) {
            expect(line).toBe(original);
            continue;
          }
          const kept = line.replace(/ \[\d+ bytes cut\]$/, '');
          expect(original.startsWith(kept)).toBe(true);
          expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(maxBytes);
          expect(line).toBe(kept + cutMark(Buffer.byteLength(original) - Buffer.byteLength(kept)));
        }
      }),
    );
  });
});

describe('createOutputRing', () => {
  it('keeps the newest and counts every byte it lost', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string({ maxLength: 300 }), fc.constant(null)), { maxLength: 200 }), (steps) => {
        const ring = createOutputRing(1000);
        let pushed = 0;
        let got = 0;
        let lost = 0;
        let last = '';
        const take = (): boolean => {
          const line = ring.shift();
          if (line === undefined) return false;
          got += Buffer.byteLength(line.text);
          lost += line.droppedBytes;
          last = line.text;
          return true;
        };
        let newest = '';
        for (const text of steps) {
          if (text === null) {
            take();
            continue;
          }
          pushed += Buffer.byteLength(text);
          newest = text;
          ring.push({ stream: 'stdout', level: 'info', text, at: 0 });
        }
        while (take());
        expect(got + lost).toBe(pushed);
        if (steps.some((text) => text !== null)) expect(last).toBe(newest);
      }),
    );
  });
});

describe('createOutput', () => {
  it('never sends beyond its credit, and goes on when more is granted', () => {
    const output = createOutput();
    const sent: OutputParams[] = [];
    output.write('stdout', 'info', 'before\n');
    output.connected((params) => sent.push(params), outputCostBytes(6) + outputCostBytes(1));
    output.write('stdout', 'info', 'a\nb\nc\n');
    expect(sent.map(({ text }) => text)).toEqual(['before', 'a']);
    output.granted(outputCostBytes(1));
    expect(sent.map(({ text }) => text)).toEqual(['before', 'a', 'b']);
    output.disconnected();
    output.write('stdout', 'info', 'd\n');
    output.connected((params) => sent.push(params), 10_000);
    expect(sent.map(({ text }) => text)).toEqual(['before', 'a', 'b', 'c', 'd']);
  });

  it('says last words without credit, within the reserve, and counts what it gave up', () => {
    const output = createOutput();
    const sent: OutputParams[] = [];
    output.connected((params) => sent.push(params), 0);
    output.write('stdout', 'info', 'unsent\n');
    output.lastWords(`the end\n${'x\n'.repeat(5000)}`);
    expect(sent[0]).toMatchObject({ text: 'the end', droppedBytes: 6, level: 'error' });
    expect(sent.reduce((sum, { text }) => sum + outputCostBytes(Buffer.byteLength(text)), 0)).toBeLessThanOrEqual(
      32 * 1024,
    );
  });
});
