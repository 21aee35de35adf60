/**
 * Output floods. What a module prints reaches neither the engine nor its shim, whichever way it takes, and costs the
 * kernel and the disk a bounded amount (DESIGN section 5: the engine's pipe costs a core, whatever the cpu limit).
 */
import { readdirSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  containersOf,
  engineApi,
  ENGINE_HOST,
  eventually,
  fastConfig,
  startKernel,
  type KernelUnderTest,
} from '../support/kernel.ts';
import {
  cpuMs,
  engineProcesses,
  rssBytes,
  sameAs,
  shimsOf,
  takeSnapshot,
  type FullSnapshot,
} from '../support/snapshot.ts';
import { startWitness, type Witness } from '../support/witness.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** Share of a core that engine, containerd and shims may use; a flood through the pipe of the engine costs 20 to 80 %. */
const ENGINE_SHARE = 0.05;
/** Growth of the kernel while output pours in: buffers and garbage, never the output itself. */
const KERNEL_GROWTH_BYTES = 96 * MIB;
const LOG_BYTES = 2 * MIB;
const LOG_FILES = 2;
const UIDS: readonly [number, number] = [233_000, 233_199];

const FLOOD = `
import { writeSync, openSync, closeSync } from 'node:fs';
const BYTES = ${GIB};
const LINE = 'x'.repeat(1023);
/** Prints within short turns, so that the agent can answer in between. */
const inTurns = async (write, each) => {
  const startMs = performance.now();
  let written = 0;
  // Long enough for ticks of 10 ms to say something.
  while (written < BYTES || performance.now() - startMs < 2_000) {
    const untilMs = performance.now() + 20;
    while (performance.now() < untilMs) written += write(each);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { written, tookMs: performance.now() - startMs };
};
export const viaConsole = () => inTurns(() => { console.log(LINE); return LINE.length + 1; });
export const viaStream = () => inTurns(() => { process.stdout.write(LINE + '\\n'); return LINE.length + 1; });
export const viaDescriptor = ({ fd }) => {
  const chunk = Buffer.alloc(65536, 0x78);
  return inTurns(() => writeSync(fd, chunk));
};
export const viaProc = ({ path }) => {
  let fd;
  try { fd = openSync(path, 'w'); } catch (error) { return { refused: error.code }; }
  const chunk = Buffer.alloc(65536, 0x78);
  return inTurns(() => writeSync(fd, chunk)).finally(() => closeSync(fd));
};
export const say = ({ text }) => { console.log(text); return null; };
`;

let kernel: KernelUnderTest;
let witness: Witness;
let before: FullSnapshot;
const figures: Record<string, unknown>[] = [];

beforeAll(async () => {
  kernel = await startKernel({
    config: fastConfig(
      `logs: { module: { maxFile: ${LOG_BYTES / MIB}MiB, files: ${LOG_FILES}, bytesPerSecond: 256KiB } }`,
    ).replace('instances:', `instances:\n  uidRange: { first: ${UIDS[0]}, last: ${UIDS[1]} }`),
  });
  witness = await startWitness(kernel, 'stable');
  await kernel.install({
    name: 'flood',
    zone: 'sandbox',
    code: FLOOD,
    functions: Object.fromEntries(
      ['viaConsole', 'viaStream', 'viaDescriptor', 'viaProc', 'say'].map((name) => [name, { timeout: '100s' }]),
    ),
    manifest: { resources: { memory: '128MiB' } },
  });
  await kernel.instancePid('flood');
  before = await takeSnapshot(kernel, { uids: UIDS });
});
afterAll(async () => {
  console.table(figures);
  await witness?.[Symbol.asyncDispose]();
  await kernel?.[Symbol.asyncDispose]();
});

const bytesUnder = (directory: string): number =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);

/** What the log of the module holds, newest last. */
const printed = async (): Promise<string[]> => {
  await using client = await kernel.client();
  const texts: string[] = [];
  for await (const { text } of client.stream('module.logs', { module: 'flood', limit: 10_000 })) texts.push(text);
  return texts;
};

type Flooded = { readonly written: number; readonly tookMs: number };

/** Floods by one way, and measures who pays. */
const flood = async (name: string, params: unknown = {}) => {
  const pid = await kernel.instancePid('flood');
  const { dockerd, containerd } = engineProcesses();
  const shims = shimsOf((await containersOf(kernel.homeId())).map(({ Id }) => Id));
  expect(shims.length).toBeGreaterThanOrEqual(2);
  const engine = [dockerd, ...containerd, ...shims];
  const spent = (): number => engine.reduce((sum, pid) => sum + cpuMs(pid), 0);
  const cpuBeforeMs = spent();
  const kernelBeforeMs = cpuMs(kernel.pid());
  const rssBefore = rssBytes(kernel.pid());
  const startMs = performance.now();
  let rssMost = rssBefore;
  const watch = setInterval(() => (rssMost = Math.max(rssMost, rssBytes(kernel.pid()))), 50);
  const { value, report } = await witness
    .during(() => kernel.call('flood', name, params, 110_000))
    .finally(() => clearInterval(watch));
  const tookMs = performance.now() - startMs;
  const engineShare = (spent() - cpuBeforeMs) / tookMs;
  const kernelShare = (cpuMs(kernel.pid()) - kernelBeforeMs) / tookMs;
  figures.push({
    flood: `${name} ${JSON.stringify(params)}`,
    seconds: (tookMs / 1000).toFixed(1),
    'engine+shim % of a core': (engineShare * 100).toFixed(1),
    'kernel % of a core': (kernelShare * 100).toFixed(1),
    'kernel growth MiB': ((rssMost - rssBefore) / MIB).toFixed(0),
    'witness p99 ms': report.p99Ms.toFixed(1),
  });
  expect(report.failures).toEqual([]);
  expect(report.p99Ms).toBeLessThan(250);
  expect(rssMost - rssBefore).toBeLessThan(KERNEL_GROWTH_BYTES);
  expect(await kernel.instancePid('flood')).toBe(pid);
  expect(await sameAs(before, () => takeSnapshot(kernel, { uids: UIDS }))).toEqual(before);
  return { value: value as Flooded & { refused?: string }, engineShare, kernelShare };
};

/** A container beside those of the kernel. It bears the label of this home, so that nothing is left of a test that was broken off. */
const createContainer = (body: unknown): Promise<{ readonly Id: string }> =>
  new Promise((resolve, reject) => {
    const headers = { host: 'engine', 'content-type': 'application/json' };
    request(
      { socketPath: ENGINE_HOST.replace('unix://', ''), method: 'POST', path: '/containers/create', headers },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () =>
          answer.statusCode === 201 ? resolve(JSON.parse(text) as { readonly Id: string }) : reject(new Error(text)),
        );
      },
    )
      .on('error', reject)
      .end(JSON.stringify(body));
  });

describe('the measure', () => {
  it('sees a container that floods the pipe of the engine', async () => {
    const image = (await kernel.rpc('zone.inspect', { zone: 'sandbox' })).image;
    const code =
      'const c = Buffer.alloc(65536, 0x78); const t = Date.now(); while (Date.now() - t < 2000) require("fs").writeSync(1, c);';
    const { Id } = await createContainer({
      Image: image,
      Entrypoint: ['/usr/bin/node'],
      Cmd: ['-e', code],
      Labels: { 'kerneld.home': kernel.homeId() },
      HostConfig: {
        NetworkMode: 'none',
        LogConfig: { Type: 'json-file', Config: { 'max-size': '64k', 'max-file': '1' } },
      },
    });
    try {
      await engineApi('POST', `/containers/${Id}/start`);
      const { dockerd, containerd } = engineProcesses();
      const pids = [dockerd, ...containerd, ...shimsOf([Id])];
      const spent = (): number => pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
      const cpuBeforeMs = spent();
      const startMs = performance.now();
      await delay(1_500);
      expect((spent() - cpuBeforeMs) / (performance.now() - startMs)).toBeGreaterThan(ENGINE_SHARE);
    } finally {
      await engineApi('DELETE', `/containers/${Id}?force=1`);
    }
  });
});

describe('1 GiB of output', () => {
  it.each(['viaConsole', 'viaStream'])(
    '%s costs the engine nothing, the disk what the log may hold, and the newest line is found',
    async (way) => {
      const { value, engineShare, kernelShare } = await flood(way);
      expect(value.written).toBeGreaterThanOrEqual(GIB);
      expect(engineShare).toBeLessThan(ENGINE_SHARE);
      expect(kernelShare).toBeLessThan(0.5);
      const last = `the last line of ${way}`;
      await kernel.call('flood', 'say', { text: last });
      const lines = await eventually('the newest line is in the log', async () => {
        const texts = await printed();
        return texts.at(-1) === last ? texts : null;
      });
      const dropped = lines
        .flatMap((text) => /^(\d+) bytes of output were dropped$/.exec(text)?.[1] ?? [])
        .reduce((sum, bytes) => sum + Number(bytes), 0);
      expect(dropped).toBeGreaterThan(GIB / 2);
      const kept = bytesUnder(join(kernel.home, 'state/logs'));
      expect(kept).toBeGreaterThan(0);
      expect(kept).toBeLessThan(LOG_BYTES * LOG_FILES + MIB);
    },
  );

  it.each([1, 2])('to descriptor %i costs the engine nothing', async (fd) => {
    const { value, engineShare } = await flood('viaDescriptor', { fd });
    expect(value.written).toBeGreaterThanOrEqual(GIB);
    expect(engineShare).toBeLessThan(ENGINE_SHARE);
  });

  it.each(['/proc/1/fd/1', '/proc/self/fd/2', '/dev/stdout'])('to %s costs the engine nothing', async (path) => {
    const { value, engineShare } = await flood('viaProc', { path });
    if (value.refused === undefined) expect(value.written).toBeGreaterThanOrEqual(GIB);
    else expect(['ERR_ACCESS_DENIED', 'EACCES']).toContain(value.refused);
    expect(engineShare).toBeLessThan(ENGINE_SHARE);
  });
});

describe('a process of a module in stable', () => {
  it('reaches no pipe of the engine, neither its own descriptors nor those of PID 1', async () => {
    const child = `
      const { fstatSync, writeSync, openSync, readlinkSync } = require('node:fs');
      const told = (look) => { try { return look(); } catch (error) { return error.code; } };
      const paths = ['/proc/self/fd/1', '/proc/self/fd/2', '/proc/1/fd/1', '/proc/1/fd/2'];
      // What Node itself does not let it open it cannot flood either.
      const fds = [1, 2, ...paths.slice(2).flatMap((path) => { const fd = told(() => openSync(path, 'w')); return typeof fd === 'number' ? [fd] : []; })];
      const chunk = Buffer.alloc(65536, 0x78);
      const startMs = Date.now();
      while (Date.now() - startMs < 1500) for (const fd of fds) writeSync(fd, chunk);
      process.send({ pipes: fds.filter((fd) => fstatSync(fd).isFIFO()).length, links: paths.map((path) => told(() => readlinkSync(path))) }, () => process.disconnect());`;
    await kernel.install({
      name: 'parent',
      zone: 'stable',
      functions: { flood: {} },
      manifest: { resources: { memory: '128MiB' } },
      code: `
        import { spawn } from 'node:child_process';
        export const flood = () => new Promise((resolve) => {
          const child = spawn(process.execPath, ['-e', ${JSON.stringify(child)}], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env: {} });
          child.on('message', resolve).on('error', (error) => resolve(error.message)).on('exit', (code) => resolve('exit ' + code));
        });`,
    });
    await kernel.instancePid('parent');
    const { dockerd, containerd } = engineProcesses();
    const engine = [dockerd, ...containerd, ...shimsOf((await containersOf(kernel.homeId())).map(({ Id }) => Id))];
    const spent = (): number => engine.reduce((sum, pid) => sum + cpuMs(pid), 0);
    const cpuBeforeMs = spent();
    const startMs = performance.now();
    const answer = (await kernel.call('parent', 'flood')) as {
      readonly pipes: number;
      readonly links: readonly string[];
    };
    expect(answer.pipes).toBe(0);
    for (const link of answer.links) expect(['/dev/null', 'ERR_ACCESS_DENIED', 'EACCES']).toContain(link);
    expect((spent() - cpuBeforeMs) / (performance.now() - startMs)).toBeLessThan(ENGINE_SHARE);
    await kernel.rpc('module.remove', { module: 'parent' });
    expect(await sameAs(before, () => takeSnapshot(kernel, { uids: UIDS }))).toEqual(before);
  });
});

describe('what the engine keeps', () => {
  it('has no byte of what the module printed', async () => {
    const own = await containersOf(kernel.homeId());
    expect(own.length).toBe(2);
    for (const { Id } of own) {
      const { LogPath } = await engineApi<{ readonly LogPath: string }>('GET', `/containers/${Id}/json`);
      expect(statSync(LogPath).size).toBe(0);
    }
  });
});
