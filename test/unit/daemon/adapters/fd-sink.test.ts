import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';

const source = new URL('../../../../', import.meta.url).href;
const run = (script: string) =>
  spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `
  const { createFdSink } = await import('${source}daemon/adapters/fd-sink.ts');
  const sink = createFdSink(1);
  ${script}`,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );

describe('standard output', () => {
  it('that nobody reads holds nothing up; what is too much is dropped and counted', async () => {
    const child = run(`
      const startedMs = performance.now();
      for (let i = 0; i < 5000; i += 1) sink.write('x'.repeat(999) + '\\n');
      await new Promise((resolve) => setTimeout(resolve, 50));
      console.error(JSON.stringify({ tookMs: performance.now() - startedMs, dropped: sink.dropped() }));
      await sink.flush(100);
      process.exit(0);`);
    const [text] = (await once(child.stderr, 'data')) as [Buffer];
    const { tookMs, dropped } = JSON.parse(String(text)) as { tookMs: number; dropped: number };
    expect(tookMs).toBeLessThan(1_000);
    expect(dropped).toBeGreaterThan(3_000);
    child.kill('SIGKILL');
    await once(child, 'close');
  });

  it('whose reader went away harms nobody, and is not counted as slow', async () => {
    const child = run(`
      process.stdin.destroy();
      setTimeout(() => {
        for (let i = 0; i < 10; i += 1) sink.write('late\\n');
        sink.flush(500).then(() => {
          sink.write('later\\n');
          console.error(JSON.stringify({ gone: sink.gone(), dropped: sink.dropped() }));
        });
      }, 100);`);
    child.stdout.destroy();
    expect(String((await once(child.stderr, 'data'))[0])).toBe('{"gone":true,"dropped":0}\n');
    expect((await once(child, 'exit'))[0]).toBe(0);
  });

  it('gets every line in order when it is read', async () => {
    const child = run(`for (let i = 0; i < 3000; i += 1) sink.write(i + '\\n'); await sink.flush(2000);`);
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await once(child, 'close');
    expect(text).toBe(Array.from({ length: 3_000 }, (_, i) => `${i}\n`).join(''));
  });
});
