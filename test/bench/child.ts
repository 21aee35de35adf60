/** Child processes of the benchmark: `main.ts` in another part. They end with their parent. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const READY_TIMEOUT_MS = 10_000;

export type Child = AsyncDisposable & {
  readonly ask: <Answer>(message: object, timeoutMs: number) => Promise<Answer>;
};

const answerOf = async (child: ChildProcess, timeoutMs: number): Promise<unknown> => {
  const limit = AbortSignal.timeout(timeoutMs);
  const gone = new AbortController();
  const onExit = (): void => gone.abort(new Error('a process of the benchmark ended early'));
  child.once('exit', onExit);
  try {
    const [answer] = (await once(child, 'message', { signal: AbortSignal.any([limit, gone.signal]) })) as [unknown];
    return answer;
  } finally {
    child.off('exit', onExit);
  }
};

/** Resolves when the child says that it is ready. */
export const startChild = async (part: string, args: readonly string[]): Promise<Child> => {
  const child = fork(join(import.meta.dirname, 'main.ts'), [`part:${part}`, ...args], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  await answerOf(child, READY_TIMEOUT_MS);
  return {
    ask: async <Answer>(message: object, timeoutMs: number): Promise<Answer> => {
      child.send(message);
      return (await answerOf(child, timeoutMs)) as Answer;
    },
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
    },
  };
};
