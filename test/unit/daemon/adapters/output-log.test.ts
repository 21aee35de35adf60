import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogLine } from '../../../../Kernel/contract/operations/shapes.ts';
import { createClock } from '../../../../daemon/adapters/clock.ts';
import { createOutputLog } from '../../../../daemon/adapters/output-log.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'kd-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const open = (limits = { maxFileBytes: 1e6, files: 3 }) => createOutputLog({ dir, limits, clock: createClock() });
const line = (text: string): LogLine => ({
  at: '2026-01-01T00:00:00.000Z',
  module: 'greeter',
  instance: 'i-1',
  stream: 'stdout',
  level: 'info',
  text,
});
const texts = (lines: readonly LogLine[]) => lines.map((item) => item.text);
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => String(from + i));
const collect = async (items: AsyncIterable<LogLine>, count: number) => {
  const seen: LogLine[] = [];
  for await (const item of items) if (seen.push(item) === count) break;
  return seen;
};

describe('the output of modules', () => {
  it('is read back, newest last, module by module, also by the next kernel', async () => {
    const log = open();
    for (const text of numbers(0, 10)) log.append('greeter', line(text));
    log.append('other', line('elsewhere'));
    expect(texts(await log.read('greeter', { limit: 3 }))).toEqual(['7', '8', '9']);
    await log[Symbol.asyncDispose]();
    await using next = open();
    expect(texts(await next.read('greeter', { limit: 99 }))).toEqual(numbers(0, 10));
    expect(await next.read('unknown', { limit: 5 })).toEqual([]);
    expect(await next.read('greeter', { limit: 0 })).toEqual([]);
  });

  it('keeps every text on one line and as it was', async () => {
    await using log = open({ maxFileBytes: 1e8, files: 2 });
    const all = fc.sample(
      fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.constantFrom('a\nb', '\r', '\u2028', '{"', '\0')),
      { numRuns: 1_500, seed: 5 },
    );
    for (const text of all) log.append('greeter', line(text));
    expect(texts(await log.read('greeter', { limit: 5_000 }))).toEqual(all);
    expect(readFileSync(join(dir, 'greeter/output.jsonl'), 'utf8').split('\n')).toHaveLength(all.length + 1);
  });

  it('is rotated and bounded, and read across files', async () => {
    await using log = open({ maxFileBytes: 5_000, files: 3 });
    for (const text of numbers(0, 300)) {
      log.append('greeter', line(text));
      if (Number(text) % 40 === 0) await log.flush();
    }
    await log.flush();
    const files = readdirSync(join(dir, 'greeter')).toSorted();
    expect(files).toEqual(['output.jsonl', 'output.jsonl.1', 'output.jsonl.2']);
    for (const file of files) expect(statSync(join(dir, 'greeter', file)).size).toBeLessThanOrEqual(5_000);
    const kept = texts(await log.read('greeter', { limit: 1_000 }));
    expect(kept).toEqual(numbers(300 - kept.length, 300));
    expect(kept.length).toBeGreaterThan(70);
    expect(texts(await log.read('greeter', { limit: 60 }))).toEqual(numbers(240, 300));
  });

  it('cuts a text that is too long', async () => {
    await using log = open();
    log.append('greeter', line('x'.repeat(1e6)));
    expect((await log.read('greeter', { limit: 1 }))[0]!.text.length).toBe(16 * 1024 + 1);
  });

  it('skips and counts broken lines, and is not broken further by them', async () => {
    const log = open();
    log.append('greeter', line('before'));
    await log.flush();
    appendFileSync(join(dir, 'greeter/output.jsonl'), 'garbage\n{"at":1}\n\n\xff\xfe\n{"at":"2026","module":"gre');
    log.append('greeter', line('after'));
    expect(texts(await log.read('greeter', { limit: 10 }))).toEqual(['before', 'after']);
    expect(log.figures().brokenLines).toBe(4);
  });

  it('costs bounded memory when it is too much, and says what was dropped', async () => {
    await using log = open({ maxFileBytes: 1e8, files: 2 });
    for (let i = 0; i < 20_000; i += 1) log.append('greeter', line('x'.repeat(1_000)));
    expect(log.figures().waitingBytes).toBeLessThanOrEqual(1024 * 1024);
    const { droppedLines } = log.figures();
    expect(droppedLines).toBeGreaterThan(18_000);
    await log.flush();
    log.append('greeter', line('later'));
    const last = await log.read('greeter', { limit: 2 });
    expect(last).toMatchObject([
      { stream: 'kernel', text: `${droppedLines} lines of output were dropped` },
      { text: 'later' },
    ]);
  });

  it('loses lines and nothing else while the disk is full', async () => {
    mkdirSync(join(dir, 'greeter'));
    symlinkSync('/dev/full', join(dir, 'greeter/output.jsonl'));
    await using log = open();
    log.append('greeter', line('lost'));
    await log.flush();
    expect(log.figures()).toMatchObject({ droppedLines: 1, waitingBytes: 0 });
    rmSync(join(dir, 'greeter/output.jsonl'));
    log.append('greeter', line('found'));
    expect(texts(await log.read('greeter', { limit: 9 }))).toEqual(['1 lines of output were dropped', 'found']);
  });

  it('remembers a bounded number of modules', async () => {
    await using log = open();
    log.append('greeter', line('kept'));
    for (let i = 0; i < 2_000; i += 1) await log.read(`m${i}`, { limit: 1 });
    expect(log.figures().modules).toBeLessThanOrEqual(512);
    expect(texts(await log.read('greeter', { limit: 1 }))).toEqual(['kept']);
  });

  it('never leaves its directory, whatever a module is called', () => {
    const log = open();
    for (const name of ['..', '../x', 'a/b', '', '.', 'A', '__proto__'])
      expect(() => log.append(name, line('x'))).toThrow(/not a module name/);
    expect(readdirSync(dir)).toEqual([]);
  });
});

describe('following output', () => {
  it('goes from old to new without a gap or a double, across rotation', async () => {
    await using log = open({ maxFileBytes: 20_000, files: 5 });
    for (const text of numbers(0, 50)) log.append('greeter', line(text));
    const { signal } = new AbortController();
    // Some of what is appended meanwhile comes as history and some as news; together they are everything, once.
    const followed = collect(log.follow('greeter', { limit: 550, follow: true, signal }), 550);
    for (const text of numbers(50, 550)) {
      log.append('greeter', line(text));
      if (Number(text) % 13 === 0) await sleep(1);
    }
    expect(texts(await followed)).toEqual(numbers(0, 550));
    expect(texts(await log.read('greeter', { limit: 550 }))).toEqual(numbers(0, 550));
  });

  it('ends without follow, ends with its signal, and ends when the module is removed', async () => {
    await using log = open();
    log.append('greeter', line('x'));
    const signal = new AbortController().signal;
    expect(await collect(log.follow('greeter', { limit: 5, follow: false, signal }), 99)).toHaveLength(1);
    expect(
      await collect(log.follow('greeter', { limit: 5, follow: true, signal: AbortSignal.abort() }), 99),
    ).toHaveLength(1);
    const followed = collect(log.follow('greeter', { limit: 5, follow: true, signal }), 99);
    await sleep(20);
    await log.remove('greeter');
    expect(texts(await followed)).toEqual(['x']);
    expect(readdirSync(dir)).toEqual([]);
    log.append('greeter', line('again'));
    expect(texts(await log.read('greeter', { limit: 5 }))).toEqual(['again']);
  });

  it('tells a slow reader what it missed', async () => {
    await using log = open({ maxFileBytes: 1e8, files: 2 });
    const items = log.follow('greeter', { limit: 0, follow: true, signal: new AbortController().signal });
    const first = items.next();
    await sleep(10);
    for (const text of numbers(0, 30_000)) log.append('greeter', line(text));
    expect((await first).value).toMatchObject({ stream: 'kernel', text: '20000 lines were too many for this reader' });
    expect(texts(await collect(items, 10_000))).toEqual(numbers(20_000, 30_000));
  });
});
