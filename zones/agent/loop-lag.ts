/** How late the event loop is: a hint for people, never a verdict (the module shares this process). */

export type LoopLag = {
  /** The worst lag seen since it was last asked, and now. */
  readonly take: () => Promise<number>;
};

/** Seldom enough to cost an idle instance nothing, often enough that a long block is seen. */
const SAMPLE_MS = 1000;

export const watchLoopLag = (): LoopLag => {
  let worstMs = 0;
  let dueMs = performance.now() + SAMPLE_MS;
  setInterval(() => {
    const nowMs = performance.now();
    worstMs = Math.max(worstMs, nowMs - dueMs);
    dueMs = nowMs + SAMPLE_MS;
  }, SAMPLE_MS).unref();
  return {
    take: async () => {
      const sinceMs = performance.now();
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
      const lagMs = Math.max(worstMs, performance.now() - sinceMs, 0);
      worstMs = 0;
      return Math.round(lagMs * 10) / 10;
    },
  };
};
