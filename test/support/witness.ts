/**
 * A module that has nothing to do with a fault, called throughout it: whatever happens to others, its callers
 * must not notice.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { toKernelError } from '../../Kernel/contract/errors.ts';
import { connect } from '../../daemon/client/connect.ts';
import type { KernelUnderTest } from './kernel.ts';

export type WitnessReport = {
  readonly calls: number;
  /** What went wrong, if anything. */
  readonly failures: readonly string[];
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
};

export type Witness = AsyncDisposable & {
  /** Calls all through `body`, and tells how they went together with what the body gave. */
  readonly during: <T>(body: () => Promise<T>) => Promise<{ readonly value: T; readonly report: WitnessReport }>;
};

const PAUSE_MS = 10;
const CALL_TIMEOUT_MS = 5_000;

const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;

/** Installs the witness into a zone, and keeps one connection for its calls. */
export const startWitness = async (kernel: KernelUnderTest, zone: 'stable' | 'sandbox'): Promise<Witness> => {
  await kernel.install({
    name: 'witness',
    zone,
    code: 'export const echo = (value) => value;',
    functions: { echo: {} },
  });
  try {
    await kernel.instancePid('witness');
  } catch (error) {
    throw new Error(`the witness did not start; kerneld said:\n${kernel.output().slice(-4_000)}`, { cause: error });
  }
  const client = await connect({ socketPath: kernel.operatorSocket });

  return {
    during: async (body) => {
      const times: number[] = [];
      const failures: string[] = [];
      let over = false;
      const watching = (async () => {
        do {
          const sentMs = performance.now();
          const params = { n: times.length };
          try {
            const answer = await client.call(
              'module.call',
              { module: 'witness', function: 'echo', params },
              { timeoutMs: CALL_TIMEOUT_MS },
            );
            if ((answer as { n?: unknown }).n !== params.n)
              failures.push(`asked for ${params.n}, got ${JSON.stringify(answer)}`);
          } catch (thrown) {
            const { code, message } = toKernelError(thrown);
            failures.push(`${code}: ${message}`);
          }
          times.push(performance.now() - sentMs);
          await delay(PAUSE_MS);
        } while (!over);
      })();
      let value;
      try {
        value = await body();
      } finally {
        over = true;
        await watching;
      }
      const sorted = times.toSorted((a, b) => a - b);
      const report = {
        calls: times.length,
        failures,
        p50Ms: quantile(sorted, 0.5),
        p99Ms: quantile(sorted, 0.99),
        maxMs: sorted.at(-1) ?? 0,
      };
      return { value, report };
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
};
