/** `call`: a warm module call, beside two raw socket hops and `docker exec`. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { NODE_PATH } from '../../zones/image/layout.plan.ts';
import { startChild, type Child } from './child.ts';
import { startExecPeer } from './engine-peer.ts';
import type { LoadAnswer, LoadOrder, Target } from './load.ts';
import { atLeast, atMost, row, type Row } from './row.ts';
import { median, quantile } from './statistics.ts';
import { greeter, readyInstances, startSubject } from './subject.ts';

const ROUNDS = 5;
const ORDER_TIMEOUT_MS = 30_000;
const SEQUENTIAL = { hops: 2_000, call: 2_000, post: 300 } as const;
const PIPELINED = 20_000;
const EXECS_PER_ROUND = 2;
const PIPELINES = [64, 256] as const;
/** The smallest program that every image has: the loader, which prints its version. */
const LOADER = process.arch === 'arm64' ? '/lib/ld-linux-aarch64.so.1' : '/lib64/ld-linux-x86-64.so.2';

const order = async (load: Child, what: LoadOrder): Promise<Exclude<LoadAnswer, { kind: 'failed' }>> => {
  const answer = await load.ask<LoadAnswer>(what, ORDER_TIMEOUT_MS);
  if (answer.kind === 'failed') throw new Error(`${what.target}: ${answer.message}`);
  return answer;
};

const samplesOf = async (load: Child, target: Target, count: number): Promise<number[]> => {
  const answer = await order(load, { kind: 'sequential', target, count });
  return answer.kind === 'samples' ? answer.samplesMs : [];
};

const rateOf = async (load: Child, target: Target, inFlight: number, count = PIPELINED): Promise<number> => {
  const answer = await order(load, { kind: 'pipelined', target, count, inFlight });
  return answer.kind === 'rate' ? answer.perSecond : 0;
};

export const benchCall = async (): Promise<Row[]> => {
  const directory = mkdtempSync('/tmp/kb-');
  const echoPath = join(directory, 'echo.sock');
  const relayPath = join(directory, 'relay.sock');
  try {
    await using kernel = await startSubject(
      // For profiles of the kernel alone: KERNELD_BENCH_NODE_OPTIONS='--cpu-prof --cpu-prof-dir=/tmp/profiles'.
      { NODE_OPTIONS: process.env['KERNELD_BENCH_NODE_OPTIONS'] ?? '' },
    );
    await kernel.install(greeter('greeter', 1));
    await readyInstances(kernel, 1);
    await using _echo = await startChild('echo', [echoPath]);
    await using _relay = await startChild('relay', [relayPath, echoPath]);
    await using load = await startChild('load', [kernel.operatorSocket, relayPath, 'greeter']);
    await using engine = await startExecPeer();
    return await measure(load, engine.exec);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
};

const measure = async (load: Child, exec: (command: readonly string[]) => Promise<number>): Promise<Row[]> => {
  const sequential: Record<Target, number[]> = { hops: [], call: [], post: [] };
  const rates: Record<Target, Map<number, number[]>> = { hops: new Map(), call: new Map(), post: new Map() };
  const nodeExecs: number[] = [];
  const loaderExecs: number[] = [];

  // Warm-up: compilers need some thousand calls.
  for (const target of ['hops', 'call'] as const) await rateOf(load, target, PIPELINES[0]);
  await samplesOf(load, 'call', SEQUENTIAL.call);
  await samplesOf(load, 'post', SEQUENTIAL.post);
  await exec([NODE_PATH, '-e', '0']);

  for (let round = 0; round < ROUNDS; round += 1) {
    for (const target of ['hops', 'call', 'post'] as const)
      sequential[target].push(...(await samplesOf(load, target, SEQUENTIAL[target])));
    for (const inFlight of PIPELINES) {
      for (const target of ['hops', 'call'] as const) {
        const rate = await rateOf(load, target, inFlight);
        rates[target].set(inFlight, [...(rates[target].get(inFlight) ?? []), rate]);
      }
    }
    for (let i = 0; i < EXECS_PER_ROUND; i += 1) {
      nodeExecs.push(await exec([NODE_PATH, '-e', '0']));
      loaderExecs.push(await exec([LOADER, '--version']));
    }
  }

  const callMs = median(sequential.call);
  const hopsMs = median(sequential.hops);
  const p99 = (samples: readonly number[]): number => quantile(samples, 0.99);
  return [
    row({ name: 'call', what: 'two raw socket hops (floor)', unit: 'ms', median: hopsMs, p99: p99(sequential.hops) }),
    row({
      name: 'call',
      what: 'warm call, one after the other',
      unit: 'ms',
      median: callMs,
      p99: p99(sequential.call),
      beside: { what: 'two raw hops', median: hopsMs },
      goal: atMost('p50 <= 2.5x', callMs, 2.5 * hopsMs),
    }),
    ...PIPELINES.map((inFlight) => {
      const rate = median(rates.call.get(inFlight) ?? []);
      return row({
        name: 'call',
        what: `pipelined, ${inFlight} in flight`,
        unit: '/s',
        median: rate,
        beside: { what: 'two raw hops', median: median(rates.hops.get(inFlight) ?? []) },
        goal: atLeast('>= 20000/s', rate, 20_000),
      });
    }),
    row({
      name: 'call',
      what: 'POST /rpc, a connection each',
      unit: 'ms',
      median: median(sequential.post),
      p99: p99(sequential.post),
      beside: { what: 'warm call', median: callMs },
    }),
    row({
      name: 'call',
      what: 'warm call',
      unit: 'ms',
      median: callMs,
      beside: { what: 'docker exec node -e 0', median: median(nodeExecs) },
      goal: atLeast('100x faster', median(nodeExecs) / callMs, 100),
    }),
    row({
      name: 'call',
      what: 'warm call',
      unit: 'ms',
      median: callMs,
      beside: { what: 'docker exec ld.so --version', median: median(loaderExecs) },
      goal: atLeast('100x faster', median(loaderExecs) / callMs, 100),
    }),
  ];
};
