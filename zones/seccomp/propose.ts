/**
 * Traces a program and says how what it called stands to a zone's allowlist. Changes nothing: rows are added by hand,
 * with a reason, and the deny table wins over them (DESIGN section 5).
 *
 *     node zones/seccomp/propose.ts sandbox node some-module.mjs
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isZoneName } from '../../Kernel/contract/ids.ts';
import { ALLOWLISTS } from './allowlists.ts';
import { DENY_TABLE } from './deny-table.ts';
import { parseTrace, planProposals } from './trace.plan.ts';

const TRACE_TIMEOUT_MS = 120_000;
const [zone = '', ...command] = process.argv.slice(2);

if (!isZoneName(zone) || command.length === 0) {
  process.stderr.write('usage: node zones/seccomp/propose.ts stable|sandbox COMMAND [ARGUMENT…]  (needs strace)\n');
  process.exitCode = 2;
} else {
  const directory = await mkdtemp(join(tmpdir(), 'kerneld-trace-'));
  const trace = join(directory, 'trace');
  const tracer = spawn('strace', ['-f', '-qq', '-o', trace, ...command], {
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: TRACE_TIMEOUT_MS,
  });
  await once(tracer, 'close');
  const proposals = planProposals(parseTrace(await readFile(trace, 'utf8')), ALLOWLISTS[zone], DENY_TABLE);
  for (const { name, calls, verdict, why } of proposals.toSorted((a, b) => a.verdict.localeCompare(b.verdict))) {
    process.stdout.write(
      `${verdict.padEnd(9)} ${name.padEnd(20)} ${String(calls).padStart(7)}  ${why.slice(0, 120)}\n`,
    );
  }
  await rm(directory, { recursive: true });
}
