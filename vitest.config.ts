import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // A test that was left out proves nothing, so nothing may be left out by a forgotten `only`, or by an empty folder.
    allowOnly: false,
    passWithNoTests: false,
    teardownTimeout: 60_000,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          // They keep no state between files, and a worker for each file costs more than the tests in it.
          isolate: false,
          testTimeout: 10_000,
        },
      },
      {
        // Real processes, sockets and clocks, but no engine: too slow for `npm run check`.
        test: {
          name: 'component',
          include: ['test/component/**/*.test.ts'],
          testTimeout: 30_000,
        },
      },
      {
        // One file at a time: they share one engine, and some of them kill it.
        test: {
          name: 'engine',
          include: ['test/engine/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
