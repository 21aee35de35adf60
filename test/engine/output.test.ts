/** What modules print: found, live, bounded, kept while the kernel is away, and harmless whatever it holds. */
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LogLine } from '../../Kernel/contract/operations/shapes.ts';
import { PROJECT, eventually, fastConfig, procStatus, startKernel, type KernelUnderTest } from '../support/kernel.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const MAX_FILE = 256 * KIB;
const FILES = 3;

let kernel: KernelUnderTest;
const directory = (module: string): string => join(kernel.home, 'state/logs/modules', module);
beforeAll(async () => {
  kernel = await startKernel({
    config: fastConfig(`logs: { module: { maxFile: 256KiB, files: ${FILES}, bytesPerSecond: 4MiB } }\n`),
  });
  await kernel.install({
    name: 'speaker',
    code: `import { writeSync } from 'node:fs';
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const speak = (_, ctx) => {
  console.log('by console.log', { a: 1 });
  console.error('by console.error');
  console.warn('by console.warn');
  process.stdout.write('by process.stdout\\n');
  process.stderr.write('by process.stderr\\n');
  ctx.log.info('by ctx.log.info', 42);
  ctx.log.error('by ctx.log.error');
};
export const say = ({ text }) => { console.log(text); };
export const raw = () => { try { writeSync(1, 'x'.repeat(1024)); return 'written'; } catch (error) { return error.code; } };
export const flood = async ({ lines, bytes, pauseMs = 0 }) => {
  for (let n = 0; n < lines; n += 1) {
    console.log(String(n).padEnd(bytes, 'x'));
    if (pauseMs > 0 && n % 50 === 0) await sleep(pauseMs);
  }
};
/** Prints on a timer, call or no call. */
let timer;
export const chatter = ({ everyMs, bytes, count }) => {
  clearInterval(timer);
  let n = 0;
  timer = setInterval(() => {
    if (n === count) return clearInterval(timer);
    console.log(('tick ' + n++ + ' ').padEnd(bytes, '.'));
  }, everyMs);
};
export const pour = async ({ mebibytes }) => {
  const text = ('y'.repeat(1023) + '\\n').repeat(1024);
  for (let n = 0; n < mebibytes; n += 1) { process.stdout.write(text); if (n % 4 === 0) await sleep(0); }
};`,
    functions: { speak: {}, say: {}, raw: {}, flood: {}, chatter: {}, pour: { timeout: '60s' } },
  });
});
afterAll(async () => {
  await kernel?.[Symbol.asyncDispose]();
});

const logs = async (lines = 10_000): Promise<LogLine[]> =>
  JSON.parse((await kernel.ctl(['logs', 'speaker', '-n', String(lines), '--json'])).stdout) as LogLine[];
/** Says something and waits until it is there: then all before it is too. */
let marks = 0;
const settle = async (): Promise<LogLine[]> => {
  const mark = `mark ${(marks += 1)}`;
  await kernel.call('speaker', 'say', { text: mark });
  return eventually(`${mark} is in the log`, async () => {
    const found = await logs();
    return found.some(({ text }) => text === mark) ? found : null;
  });
};

describe('what a module prints', () => {
  it('is found by kernelctl logs, whichever way it was said, with stream and level', async () => {
    await kernel.call('speaker', 'speak');
    const lines = await settle();
    const instance = (await kernel.status()).zones[1]!.instances[0]!.id;
    expect(lines.slice(0, 7).map(({ stream, level, text }) => [stream, level, text])).toEqual([
      ['stdout', 'info', 'by console.log { a: 1 }'],
      ['stderr', 'error', 'by console.error'],
      ['stderr', expect.stringMatching(/warn|error/), 'by console.warn'],
      ['stdout', 'info', 'by process.stdout'],
      ['stderr', expect.any(String), 'by process.stderr'],
      ['log', 'info', 'by ctx.log.info 42'],
      ['log', 'error', 'by ctx.log.error'],
    ]);
    for (const line of lines)
      expect(line).toMatchObject({ module: 'speaker', instance, at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) });
    const { stdout } = await kernel.ctl(['logs', 'speaker']);
    expect(stdout).toContain('by ctx.log.info 42');
  });

  it('arrives live with -f, after the lines asked for', async () => {
    const following = spawn(
      process.execPath,
      [join(PROJECT, 'daemon/kernelctl.mjs'), 'logs', 'speaker', '-f', '-n', '1', '--json'],
      {
        env: { ...process.env, KERNELD_HOME: kernel.home },
      },
    );
    let text = '';
    following.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const exited = new Promise<number | null>((resolve) => following.on('close', resolve));
    const texts = (): string[] =>
      text
        .split('\n')
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as LogLine).text);
    await eventually('the last line is there', () => texts().length === 1);
    expect(texts()).toEqual([`mark ${marks}`]);
    for (const word of ['one', 'two']) {
      const began = performance.now();
      await kernel.call('speaker', 'say', { text: `live ${word}` });
      await eventually(`${word} arrives`, () => texts().includes(`live ${word}`), 2_000);
      expect(performance.now() - began).toBeLessThan(1_000);
    }
    expect(texts()).toEqual([`mark ${marks}`, 'live one', 'live two']);
    following.kill('SIGINT');
    expect(await exited).toBe(0);
  });

  it('never breaks a line, whatever characters it holds', async () => {
    const hostile =
      'red \u001B[31m\u001B]0;title\u0007 null \u0000 return\rforged {"at":"x"} \u2028 \u2029 \u0085 \u202E bidi "quoted" \\';
    await kernel.call('speaker', 'say', { text: `${hostile}\nsecond line` });
    const lines = (await settle()).map(({ text }) => text);
    const at = lines.findIndex((text) => text.startsWith('red '));
    expect(lines.slice(at, at + 2)).toEqual([hostile, 'second line']);
    // Each line of the files is one JSON document; and a terminal gets none of it raw.
    for (const line of readFileSync(join(directory('speaker'), 'output.jsonl'), 'utf8')
      .trimEnd()
      .split('\n'))
      JSON.parse(line);
    const { stdout } = await kernel.ctl(['logs', 'speaker']);
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F\u2028\u2029\u202E]/);
    expect(stdout.split('\n').filter((line) => line.startsWith('forged'))).toEqual([]);
  });

  it('written past the console, to descriptor 1, reaches nobody and harms nobody', async () => {
    expect(await kernel.call('speaker', 'raw')).toBe('written');
    expect((await settle()).some(({ text }) => text.includes('xxxxxxxx'))).toBe(false);
  });

  it('keeps lines of any length within bounds', async () => {
    await kernel.call('speaker', 'say', { text: 'L'.repeat(100_000) });
    const line = (await settle()).find(({ text }) => text.startsWith('LLLL'));
    expect(line!.text.length).toBeLessThan(17_000);
    expect(line!.text).toMatch(/bytes cut/);
  });

  it('is rotated: old lines go, the disk stays bounded, the newest are there', async () => {
    // Slowly enough for nothing to be dropped.
    await kernel.call('speaker', 'flood', { lines: 1_000, bytes: 1_000, pauseMs: 25 });
    const lines = await settle();
    const files = readdirSync(directory('speaker'));
    expect(files.length).toBe(FILES);
    const sizes = files.map((name) => statSync(join(directory('speaker'), name)).size);
    for (const size of sizes) expect(size).toBeLessThanOrEqual(MAX_FILE + 20 * KIB);
    expect(lines.at(-1)!.text).toBe(`mark ${marks}`);
    expect(lines.at(-2)!.text).toMatch(/^999x/);
    expect(lines.some(({ text }) => text.startsWith('by console.log'))).toBe(false);
  });

  it('is counted where it was too much', async () => {
    // More than the ring of the instance holds, faster than the log may grow.
    await kernel.call('speaker', 'flood', { lines: 3_000, bytes: 1_000 });
    const lines = await settle();
    const dropped = lines.filter(
      ({ stream, text }) => stream === 'kernel' && /bytes of output were dropped/.test(text),
    );
    expect(dropped.length).toBeGreaterThan(0);
    expect(dropped.reduce((sum, { text }) => sum + Number.parseInt(text, 10), 0)).toBeGreaterThan(MIB);
  });
});

describe('while the kernel is away', () => {
  it('what was said meanwhile is there afterwards, in order and once', async () => {
    const pid = await kernel.instancePid('speaker');
    await kernel.call('speaker', 'chatter', { everyMs: 20, bytes: 20, count: 100_000 });
    await eventually('it chatters', async () => (await logs(1))[0]?.text.startsWith('tick'));
    const killedAt = new Date().toISOString();
    await kernel.kill9();
    await kernel.start();
    const startedAt = new Date().toISOString();
    expect(await kernel.instancePid('speaker')).toBe(pid);
    await eventually('it chatters on', async () => ((await logs(1))[0]?.at ?? '') > startedAt);
    const ticks = (await logs()).filter(({ text }) => text.startsWith('tick'));
    expect(ticks.filter(({ at }) => at > killedAt && at < startedAt).length).toBeGreaterThan(10);
    const numbers = ticks.map(({ text }) => Number(text.split(' ')[1]));
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(new Set(numbers).size).toBe(numbers.length);
    // What was under way when the kernel was killed may be lost, no more.
    const holes = numbers.slice(1).filter((number, index) => number !== numbers[index]! + 1).length;
    expect(holes).toBeLessThanOrEqual(1);
  });

  it('too much of it is dropped, oldest first, and counted', async () => {
    // Four times what the ring holds, said before the next kernel is there.
    await kernel.call('speaker', 'chatter', { everyMs: 1, bytes: 4_000, count: 250 });
    await kernel.kill9();
    await kernel.start();
    await eventually('the last of it arrived', async () =>
      (await logs(5)).some(({ text }) => text.startsWith('tick 249 ')),
    );
    const lines = await logs();
    const notice = lines.findLast(
      ({ stream, text }) => stream === 'kernel' && /bytes of output were dropped/.test(text),
    );
    expect(Number.parseInt(notice!.text, 10)).toBeGreaterThan(50 * KIB);
  });
});

describe('a flood', () => {
  it('of 100 MiB neither grows the kernel nor keeps others from their answers', async () => {
    await kernel.install({ name: 'quiet', code: 'export const ping = () => 1;', functions: { ping: {} } });
    await kernel.call('quiet', 'ping');
    const rss = (): number => Number.parseInt(procStatus(kernel.pid(), 'VmRSS')!, 10) * KIB;
    const before = rss();
    let most = before;
    let done = false;
    const pouring = kernel.call('speaker', 'pour', { mebibytes: 100 }).finally(() => (done = true));
    const latencies: number[] = [];
    while (!done) {
      const began = performance.now();
      await kernel.call('quiet', 'ping');
      latencies.push(performance.now() - began);
      most = Math.max(most, rss());
    }
    await pouring;
    const lines = await settle();
    most = Math.max(most, rss());
    expect(most - before).toBeLessThan(48 * MIB);
    expect(latencies.toSorted((a, b) => a - b)[Math.floor(latencies.length / 2)]).toBeLessThan(100);
    const used = readdirSync(directory('speaker')).reduce(
      (sum, name) => sum + statSync(join(directory('speaker'), name)).size,
      0,
    );
    expect(used).toBeLessThan(FILES * (MAX_FILE + 20 * KIB));
    expect(lines.some(({ stream, text }) => stream === 'kernel' && /dropped/.test(text))).toBe(true);
    const { output } = (await kernel.rpc('kernel.diagnostics', {})) as { output: { waitingBytes: number } };
    expect(output.waitingBytes).toBeLessThan(MIB);
  });

  it('is not kept when its module is removed', async () => {
    await kernel.rpc('module.remove', { module: 'speaker' });
    expect(readdirSync(join(kernel.home, 'state/logs/modules'))).not.toContain('speaker');
  });
});
