/** A module whose answers prove that the very same process goes on: it counts the calls that it was given. */
import { eventually, type KernelUnderTest, type TestModule } from './kernel.ts';

export const counterModule = (name: string, more: Partial<TestModule> = {}): TestModule => ({
  name,
  code: `let calls = 0;
export const count = () => (calls += 1);
export const sleep = ({ ms }) => new Promise((resolve) => setTimeout(() => resolve('slept'), ms));
export const config = (_, ctx) => ctx.config ?? null;
`,
  functions: { count: {}, sleep: { timeout: '60s' }, config: {} },
  ...more,
});

/** Kills the one instance of a module and waits for its replacement; gives its pid. */
export const crash = async (kernel: KernelUnderTest, module: string): Promise<number> => {
  const victim = await kernel.instancePid(module);
  process.kill(victim, 'SIGKILL');
  return eventually(`${module} has a new instance`, async () => {
    const pid = await kernel.instancePid(module);
    return pid === victim ? null : pid;
  });
};
