/** The kernel that is measured: the real one, in a home of its own. */
import { join } from 'node:path';
import { eventually, PROJECT, startKernel, type KernelUnderTest, type TestModule } from '../support/kernel.ts';

/** What a user gets by default, but for room for fifty instances of the smallest class. */
const CONFIG = `apiVersion: kerneld/v1
pool: { memory: 8GiB, cpus: 100% }
zones:
  stable: { memory: 6GiB, instance: { memory: 64MiB, tmp: 8MiB, moduleTmp: 8MiB } }
  sandbox: { memory: 1GiB, instance: { memory: 64MiB, tmp: 8MiB, moduleTmp: 8MiB } }
`;

/** By the launcher that users start, with its flags; it replaces itself, so the pid is that of kerneld. */
export const startSubject = (env: NodeJS.ProcessEnv = {}): Promise<KernelUnderTest> =>
  startKernel({ config: CONFIG, env, through: ['/bin/sh', '-c', 'exec "$0"', join(PROJECT, 'scripts/kerneld')] });

/** As the sample module: one small schema each way, which the kernel checks. */
export const greeter = (name: string, instances: number, zone: 'stable' | 'sandbox' = 'stable'): TestModule => ({
  name,
  zone,
  code: 'export const hello = ({ name }) => ({ greeting: `Hello, ${name}` });',
  functions: {
    hello: {
      params: {
        type: 'object',
        additionalProperties: false,
        required: ['name'],
        properties: { name: { type: 'string', minLength: 1, maxLength: 100 } },
      },
      result: {
        type: 'object',
        additionalProperties: false,
        required: ['greeting'],
        properties: { greeting: { type: 'string' } },
      },
      timeout: '5s',
    },
  },
  manifest: { instances, resources: { memory: '64MiB' } },
});

export type InstanceRow = { readonly id: string; readonly pid: number; readonly restarts: number };

/** Waits until so many instances are ready; gives them by id. */
export const readyInstances = (kernel: KernelUnderTest, count: number, timeoutMs = 60_000): Promise<InstanceRow[]> =>
  eventually(
    `${count} instances are ready`,
    async () => {
      const rows = (await kernel.status()).zones.flatMap((zone) => zone.instances);
      const ready = rows.filter(({ state }) => state === 'ready');
      if (ready.length < count) return null;
      return ready.map(({ id, pid, restarts }) => ({ id, pid: pid ?? 0, restarts }));
    },
    timeoutMs,
  );
