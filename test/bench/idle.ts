/** `idle`: memory and processor time of kerneld with ten instances, beside PM2's daemon with ten scripts. */
import { setTimeout as delay } from 'node:timers/promises';
import { startPm2, type Pm2 } from './pm2.ts';
import { cpuSeconds, residentMib } from './process-figures.ts';
import { atMost, missing, row, type Row } from './row.ts';
import { median } from './statistics.ts';
import { greeter, readyInstances, startSubject } from './subject.ts';

const INSTANCES = 10;
const SETTLE_MS = 5_000;
const SECONDS = 10;
const RSS_GOAL = 1.5;

type Idle = { readonly rssMib: number; readonly cpuPercent: number };

/** Both over the same seconds, so that whatever else the machine does meets both. */
const observe = async (pids: readonly number[]): Promise<Idle[]> => {
  const startedMs = performance.now();
  const before = pids.map(cpuSeconds);
  const resident = pids.map((): number[] => []);
  for (let second = 0; second < SECONDS; second += 1) {
    await delay(1_000);
    pids.forEach((pid, i) => resident[i]?.push(residentMib(pid)));
  }
  const seconds = (performance.now() - startedMs) / 1000;
  return pids.map((pid, i) => ({
    rssMib: median(resident[i] ?? []),
    cpuPercent: ((cpuSeconds(pid) - (before[i] ?? 0)) / seconds) * 100,
  }));
};

export const benchIdle = async (): Promise<Row[]> => {
  const pm2 = await startPm2(INSTANCES);
  if (typeof pm2 === 'string') return measure(null, pm2);
  try {
    return await measure(pm2, '');
  } finally {
    await pm2[Symbol.asyncDispose]();
  }
};

const measure = async (pm2: Pm2 | null, whyMissing: string): Promise<Row[]> => {
  await using kernel = await startSubject();
  await kernel.install(greeter('greeter', INSTANCES / 2));
  await kernel.install(greeter('visitor', INSTANCES / 2, 'sandbox'));
  await readyInstances(kernel, INSTANCES);
  // A kernel that starts anew and adopts: what it is like most of its life, without the litter of installing.
  await kernel.kill9();
  await kernel.start();
  await readyInstances(kernel, INSTANCES);
  await delay(SETTLE_MS);
  const [ours, theirs] = await observe(pm2 === null ? [kernel.pid()] : [kernel.pid(), pm2.pid]);
  if (ours === undefined) return [];
  const peer = (value: number | undefined) =>
    pm2 === null || value === undefined ? null : { what: `PM2 ${pm2.version} daemon`, median: value };
  const text = `<= ${RSS_GOAL}x PM2`;
  return [
    row({
      name: 'idle',
      what: `memory with ${INSTANCES} instances`,
      unit: 'MiB',
      median: ours.rssMib,
      beside: peer(theirs?.rssMib),
      goal:
        theirs === undefined
          ? missing(text, `PM2 is missing: ${whyMissing}`)
          : atMost(text, ours.rssMib, RSS_GOAL * theirs.rssMib),
    }),
    row({
      name: 'idle',
      what: `processor, over ${SECONDS} s`,
      unit: '% cpu',
      median: ours.cpuPercent,
      beside: peer(theirs?.cpuPercent),
      goal: atMost('< 1 % of a core', ours.cpuPercent, 1),
    }),
  ];
};
