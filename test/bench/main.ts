/**
 * `npm run bench [-- --json FILE] [--only call,boot,idle]`: measures the kernel on the real engine beside its peers
 * and floors (DESIGN section 15), in the same run. Ends with 0 also when a goal is missed: figures are for reading.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { findEngineHost } from '../../daemon/engine-host.ts';
import { renderTable, type Row } from './row.ts';

const NAMES = ['call', 'boot', 'idle'] as const;
type Name = (typeof NAMES)[number];
const USAGE_STATUS = 2;

/** Loaded only now: they need to know the engine when they are imported. */
const RUNS: Readonly<Record<Name, () => Promise<Row[]>>> = {
  call: async () => (await import('./call.ts')).benchCall(),
  boot: async () => (await import('./boot.ts')).benchBoot(),
  idle: async () => (await import('./idle.ts')).benchIdle(),
};

/** Parts of the benchmark that are processes of their own: `main.ts part:NAME ARGUMENT...`. */
const runPart = async (part: string, [first = '', second = '', third = '']: readonly string[]): Promise<void> => {
  process.once('disconnect', () => process.exit(0));
  if (part === 'echo') return (await import('./hops.ts')).echo(first);
  if (part === 'relay') return (await import('./hops.ts')).relay(first, second);
  if (part === 'load') return (await import('./load.ts')).serveLoad(first, second, third);
  throw new Error(`no part ${part}`);
};

const readArguments = (): { readonly json: string | undefined; readonly only: readonly Name[] } | string => {
  try {
    const { values } = parseArgs({ options: { json: { type: 'string' }, only: { type: 'string' } } });
    const asked = values.only?.split(',') ?? NAMES;
    const unknown = asked.find((name) => !NAMES.some((known) => known === name));
    if (unknown !== undefined) return `no benchmark ${JSON.stringify(unknown)}; there are ${NAMES.join(', ')}`;
    return { json: values.json, only: NAMES.filter((name) => asked.includes(name)) };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

const bench = async (): Promise<number> => {
  const parsed = readArguments();
  if (typeof parsed === 'string') {
    process.stderr.write(`bench: ${parsed}\n`);
    return USAGE_STATUS;
  }
  process.env['DOCKER_HOST'] = process.env['KERNELD_TEST_ENGINE'] ?? findEngineHost(null, process.env);
  const startedMs = performance.now();
  const loadBefore = loadavg()[0] ?? 0;
  const rows: Row[] = [];
  for (const name of parsed.only) {
    process.stderr.write(`bench: ${name} ...\n`);
    rows.push(...(await RUNS[name]()));
  }
  const machine = {
    at: new Date().toISOString(),
    seconds: Math.round((performance.now() - startedMs) / 1000),
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    loadBefore,
    loadAfter: loadavg()[0] ?? 0,
  };
  process.stdout.write(
    `${renderTable(rows)}\n\n${machine.cores} cores (${machine.cpu}), Node ${machine.node}, ` +
      `load ${machine.loadBefore.toFixed(2)} before, ${machine.loadAfter.toFixed(2)} after, ${machine.seconds} s\n`,
  );
  if (parsed.json !== undefined) writeFileSync(parsed.json, `${JSON.stringify({ ...machine, rows }, null, 2)}\n`);
  return 0;
};

const [first = ''] = process.argv.slice(2);
if (first.startsWith('part:')) await runPart(first.slice('part:'.length), process.argv.slice(3));
else process.exitCode = await bench();
