import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  assign,
  call,
  DIGEST,
  openBench,
  residentBytes,
  shortDirectory,
  spawnAgent,
  until,
  type Bench,
  type BenchOptions,
  type SpawnedAgent,
} from '../../../support/agent-bench.ts';

const request = { timeoutMs: 5000 };

/** A connected agent, blank. */
const connected = async (options: BenchOptions = {}): Promise<{ bench: Bench; agent: SpawnedAgent }> => {
  const bench = await openBench(options);
  const agent = await bench.spawn();
  await until('the agent to connect', () => bench.link.connected());
  return { bench, agent };
};
const failure = (
  promise: Promise<unknown>,
): Promise<{ code: string; message: string; context: Record<string, unknown> }> =>
  promise.then(
    () => {
      throw new Error('it succeeded');
    },
    (error: unknown) => error as { code: string; message: string; context: Record<string, unknown> },
  );
const texts = (bench: Bench): string[] => bench.outputs.map(({ text }) => text);

describe('start and connection', () => {
  it('says hello, then gives descriptors 1 and 2 to /dev/null', async () => {
    const { bench, agent } = await connected();
    await using _ = bench;
    expect(bench.hellos).toEqual([
      { protocol: 1, instance: '', assigned: null, node: 'v26.10.0', v8: expect.any(String) },
    ]);
    await until('silence', () =>
      [1, 2].every((fd) => readlinkSync(`/proc/${agent.child.pid}/fd/${fd}`) === '/dev/null'),
    );
    expect(agent.printed()).toBe('');
  });

  it('waits for a kernel that comes later, and prints why meanwhile', async () => {
    using directory = shortDirectory();
    await using agent = await spawnAgent(directory.path);
    await until('a reason', () => agent.printed().includes('ENOENT'));
    await using bench = await openBench({ directory: directory.path });
    await until('the agent to connect', () => bench.link.connected());
  });

  it('ends with 75 when no kernel ever comes, and when it never comes back', async () => {
    using directory = shortDirectory();
    await using alone = await spawnAgent(directory.path, { KERNELD_ORPHAN_TIMEOUT_MS: '300' });
    expect(await alone.exited).toBe(75);

    const { bench, agent } = await connected({ orphanTimeoutMs: 400 });
    await using _ = bench;
    await bench.link.close();
    const startMs = performance.now();
    expect(await agent.exited).toBe(75);
    expect(performance.now() - startMs).toBeGreaterThan(350);
  });

  it('reconnects when the kernel returns and says what it has; its module never noticed', async () => {
    using directory = shortDirectory();
    const first = await openBench({ directory: directory.path });
    await using agent = await spawnAgent(directory.path);
    await until('the agent to connect', () => first.link.connected());
    await assign(
      first.link,
      {
        'm.mjs':
          'let n = 0; export const next = () => ++n; export const say = () => { setTimeout(() => console.log("while away"), 100) }',
      },
      ['next', 'say'],
    );
    expect(await call(first.link, 'next')).toBe(1);
    await call(first.link, 'say');
    await first.link.close();
    await new Promise((resolve) => {
      setTimeout(resolve, 200);
    });
    await using second = await openBench({ directory: directory.path });
    await until('the agent to come back', () => second.link.connected());
    expect(second.hellos[0]?.assigned).toEqual({ module: 'greeter', digest: DIGEST });
    expect(await call(second.link, 'next')).toBe(2);
    await until('what was said while away', () => texts(second).includes('while away'));
    expect(agent.child.exitCode).toBe(null);
  });

  it('answers pings, and SIGTERM ends it gracefully', async () => {
    const { bench, agent } = await connected();
    await using _ = bench;
    expect(await bench.link.request('ping', null, request)).toMatchObject({
      inFlight: 0,
      rssBytes: expect.any(Number),
    });
    await assign(bench.link, { 'm.mjs': 'export function stop() { console.log("stopping"); }' });
    agent.child.kill('SIGTERM');
    expect(await agent.exited).toBe(0);
    expect(texts(bench)).toContain('stopping');
  });
});

describe('receiving a module', () => {
  const begin = (files: { path: string; bytes: number; sha256: string }[], entry = 'm.mjs') => ({
    module: 'greeter',
    version: '1.0.0',
    digest: DIGEST,
    entry,
    files,
    functions: [],
    config: {},
  });
  const content = Buffer.from('export const a = 1;');
  const sha256 = createHash('sha256').update(content).digest('hex');

  it('imports files from directories, TypeScript, and an empty file', async () => {
    const { bench } = await connected();
    await using _ = bench;
    const result = await assign(
      bench.link,
      {
        'src/main.ts':
          'import { greet } from "./lib/greet.ts"; import "./empty.js"; export const hello = (p: { name: string }): string => greet(p.name);',
        'src/lib/greet.ts': 'export const greet = (name: string): string => `Hello, ${name}`;',
        'src/empty.js': '',
        'package.json': '{"type":"module"}',
      },
      ['hello'],
    );
    expect(result).toEqual({ digest: DIGEST, exports: ['hello'], longRunning: false });
    expect(await call(bench.link, 'hello', { name: 'Ada' })).toBe('Hello, Ada');
  });

  for (const path of ['../m.mjs', '/etc/m.mjs', 'a/../../m.mjs', './m.mjs', 'a//m.mjs', '', 'a\u0000b', 'a\\b']) {
    it(`refuses the path ${JSON.stringify(path)}`, async () => {
      const { bench } = await connected();
      await using _ = bench;
      expect(
        await failure(bench.link.request('assign.begin', begin([{ path, bytes: 1, sha256 }]), request)),
      ).toMatchObject({ code: 'INVALID_PARAMS' });
    });
  }

  it('refuses content that is wrong, short, long or out of order', async () => {
    const wrong: [string, { bytes: number; sha256: string }, { offset: number; data: Buffer }[], string][] = [
      [
        'wrong hash',
        { bytes: content.length, sha256: '0'.repeat(64) },
        [{ offset: 0, data: content }],
        'DIGEST_MISMATCH',
      ],
      ['short', { bytes: content.length + 1, sha256 }, [{ offset: 0, data: content }], 'DIGEST_MISMATCH'],
      ['long', { bytes: content.length - 1, sha256 }, [{ offset: 0, data: content }], 'DIGEST_MISMATCH'],
      ['out of order', { bytes: content.length, sha256 }, [{ offset: 5, data: content }], 'INVALID_PARAMS'],
    ];
    await Promise.all(
      wrong.map(async ([, file, chunks, code]) => {
        const { bench } = await connected();
        await using _ = bench;
        const steps = async (): Promise<void> => {
          await bench.link.request('assign.begin', begin([{ path: 'm.mjs', ...file }]), request);
          for (const { offset, data } of chunks) {
            await bench.link.request(
              'assign.chunk',
              { path: 'm.mjs', offset, base64: data.toString('base64') },
              request,
            );
          }
          await bench.link.request('assign.commit', null, request);
        };
        expect(await failure(steps())).toMatchObject({ code });
      }),
    );
  });

  it('takes one module only', async () => {
    const { bench } = await connected();
    await using _ = bench;
    await assign(bench.link, { 'm.mjs': '' });
    expect(await failure(assign(bench.link, { 'm.mjs': '' }))).toMatchObject({ code: 'CONFLICT' });
  });

  const broken: [string, string, string, string[]][] = [
    ['a syntax error', 'export const = ;', 'MODULE_LOAD_FAILED', []],
    ['a missing export', 'export const a = 1;', 'MODULE_LOAD_FAILED', ['hello']],
    ['an export that is no function', 'export const hello = 1;', 'MODULE_LOAD_FAILED', ['hello']],
    ['an error at import', 'throw new Error("no luck");', 'MODULE_LOAD_FAILED', []],
    [
      'a start that fails at once',
      'export async function start() { throw new Error("no luck"); }',
      'MODULE_LOAD_FAILED',
      [],
    ],
  ];
  for (const [what, source, code, functions] of broken) {
    it(`reports ${what} as ${code}, then ends with 70`, async () => {
      const { bench, agent } = await connected();
      await using _ = bench;
      expect(await failure(assign(bench.link, { 'm.mjs': source }, functions))).toMatchObject({ code });
      expect(await agent.exited).toBe(70);
      expect(texts(bench).some((text) => text.includes('could not be loaded'))).toBe(true);
    });
  }
});

describe('calls', () => {
  const SOURCE = `
    export const echo = (params) => params;
    export const nothing = () => {};
    export const fail = () => { const e = new TypeError('bad thing ' + 'x'.repeat(9000)); e.code = 'E_BAD'; throw e; };
    export const failOddly = () => { throw { get message() { throw 1; }, toString() { throw 2; } }; };
    export const failWithNothing = () => { throw undefined; };
    export const cyclic = () => { const a = {}; a.a = a; return a; };
    export const big = () => 'x'.repeat(2_000_000);
    export const deep = () => { let a = 1; for (let i = 0; i < 200; i++) a = [a]; return a; };
    export const fn = () => () => 1;
    export const bigint = () => 1n;
    export const context = (p, ctx) => {
      let frozen = false; try { ctx.config.a.b = 2; } catch { frozen = true; }
      return { keys: Object.keys(ctx).sort(), frozen: frozen && Object.isFrozen(ctx), config: ctx.config, module: ctx.module, left: ctx.deadline - Date.now() };
    };
    export const untilAborted = (p, ctx) => new Promise((resolve) => ctx.signal.addEventListener('abort', () => {
      console.log('aborted', ctx.signal.reason.code); resolve('late');
    }));
    export const loud = () => { console.log('log'); console.debug('debug'); console.warn('warn'); console.error('error'); process.stdout.write('raw\\n'); };
    export const evalled = () => eval('1+1');
    export const env = () => Object.keys(process.env).filter((name) => name.startsWith('KERNELD'));
    export const handles = () => process._getActiveHandles().length;
  `;
  const FUNCTIONS = [...SOURCE.matchAll(/export const (\w+)/g)].map((match) => match[1] ?? '');
  const ready = async (options: BenchOptions = {}) => {
    const both = await connected(options);
    await assign(both.bench.link, { 'm.mjs': SOURCE }, FUNCTIONS, { a: { b: 1 } });
    return both;
  };

  it('carry params and results, and undefined as null', async () => {
    const { bench } = await ready();
    await using _ = bench;
    const value = { text: 'Ünï"\n', list: [1, null, true], nested: { a: {} } };
    expect(await call(bench.link, 'echo', value)).toEqual(value);
    expect(await call(bench.link, 'nothing')).toBe(null);
  });

  it('give a frozen context', async () => {
    const { bench } = await ready();
    await using _ = bench;
    const seen = (await call(bench.link, 'context', null, 3000)) as { left: number };
    expect(seen).toMatchObject({
      keys: ['bus', 'config', 'deadline', 'log', 'module', 'signal'],
      frozen: true,
      config: { a: { b: 1 } },
      module: { name: 'greeter', version: '1.0.0', digest: DIGEST },
    });
    expect(seen.left).toBeGreaterThan(2000);
    expect(seen.left).toBeLessThanOrEqual(3000);
  });

  it('report what was thrown: message, name, code, bounded; the stack only in the log', async () => {
    const { bench } = await ready();
    await using _ = bench;
    const error = await failure(call(bench.link, 'fail'));
    expect(error).toMatchObject({ code: 'MODULE_ERROR', context: { name: 'TypeError', code: 'E_BAD' } });
    expect(Buffer.byteLength(error.message)).toBeLessThanOrEqual(4096);
    expect(error.message).not.toContain('    at ');
    await until('the stack', () => texts(bench).some((text) => text.includes('m.mjs:')));
    for (const name of ['failOddly', 'failWithNothing']) {
      expect(await failure(call(bench.link, name))).toMatchObject({ code: 'MODULE_ERROR' });
    }
  });

  it('refuse results that are not JSON, too deep or too large, and go on', async () => {
    const { bench } = await ready();
    await using _ = bench;
    const codes: Record<string, string> = {};
    for (const name of ['cyclic', 'big', 'deep', 'fn', 'bigint'])
      codes[name] = (await failure(call(bench.link, name))).code;
    expect(codes).toEqual({
      cyclic: 'RESULT_INVALID',
      big: 'PAYLOAD_TOO_LARGE',
      deep: 'RESULT_INVALID',
      fn: 'RESULT_INVALID',
      bigint: 'RESULT_INVALID',
    });
    expect(await call(bench.link, 'echo', 1)).toBe(1);
    expect(bench.violations).toEqual([]);
  });

  it('reach declared functions only', async () => {
    const { bench } = await ready();
    await using _ = bench;
    for (const name of ['start', 'toString', '__proto__', 'then', 'default']) {
      expect(await failure(call(bench.link, name))).toMatchObject({ code: 'FUNCTION_NOT_FOUND' });
    }
  });

  it('abort ctx.signal when the caller withdraws and when the deadline passes', async () => {
    const { bench } = await ready();
    await using _ = bench;
    const controller = new AbortController();
    const withdrawn = bench.link.request(
      'call',
      { function: 'untilAborted', params: null, timeoutMs: 5000 },
      { timeoutMs: 5000, signal: controller.signal },
    );
    setTimeout(() => controller.abort(), 50);
    expect(await failure(withdrawn)).toMatchObject({ code: 'CANCELLED' });
    await until('aborted by cancel', () => texts(bench).includes('aborted CANCELLED'));
    expect(
      await bench.link.request('call', { function: 'untilAborted', params: null, timeoutMs: 100 }, { timeoutMs: 5000 }),
    ).toBe('late');
    expect(texts(bench)).toContain('aborted DEADLINE_EXCEEDED');
    expect(await bench.link.request('ping', null, request)).toMatchObject({ inFlight: 0 });
  });

  it('have their output captured by stream and level', async () => {
    const { bench } = await ready();
    await using _ = bench;
    await call(bench.link, 'loud');
    await until('output', () => bench.outputs.length >= 5);
    expect(bench.outputs.map(({ stream, level, text }) => `${stream} ${level} ${text}`)).toEqual([
      'stdout info log',
      'stdout debug debug',
      'stderr warn warn',
      'stderr error error',
      'stdout info raw',
    ]);
  });

  it("run without eval, and without the agent's own environment and handles", async () => {
    const { bench } = await ready();
    await using _ = bench;
    expect(await failure(call(bench.link, 'evalled'))).toMatchObject({ code: 'MODULE_ERROR' });
    expect(await call(bench.link, 'env')).toEqual([]);
    expect(await call(bench.link, 'handles')).toBe(0);
  });
});

describe('long-running modules', () => {
  it('run until stop, which aborts the signal, runs stop() and stays connected', async () => {
    const { bench } = await connected();
    await using _ = bench;
    const source = `
      export async function start(ctx) { console.log('started'); await new Promise((r) => ctx.signal.addEventListener('abort', r)); throw ctx.signal.reason; }
      export function stop() { console.log('stop called'); }
      export const hello = () => 1;`;
    expect(await assign(bench.link, { 'm.mjs': source }, ['hello'])).toMatchObject({ longRunning: true });
    expect(await call(bench.link, 'hello')).toBe(1);
    await bench.link.request('stop', { graceMs: 1000 }, request);
    await until('output', () => texts(bench).includes('stop called'));
    expect(await failure(call(bench.link, 'hello'))).toMatchObject({ code: 'STOPPING' });
    expect(bench.link.connected()).toBe(true);
  });

  it('answer stop within the grace even when start never ends', async () => {
    const { bench } = await connected();
    await using _ = bench;
    await assign(bench.link, { 'm.mjs': 'export const start = () => new Promise(() => {});' });
    const startMs = performance.now();
    await bench.link.request('stop', { graceMs: 200 }, request);
    expect(performance.now() - startMs).toBeLessThan(1500);
  });

  const ends: [string, string][] = [
    [
      'a start that is rejected later',
      'export async function start() { await new Promise((r) => setTimeout(r, 100)); throw new Error("last words"); }',
    ],
    ['an uncaught error', 'setTimeout(() => { throw new Error("last words"); }, 100);'],
    ['an unhandled rejection', 'setTimeout(() => { Promise.reject(new Error("last words")); }, 100);'],
  ];
  for (const [what, source] of ends) {
    it(`end with 70 on ${what}, and the log has it even when the output was full`, async () => {
      const { bench, agent } = await connected({ outputBytesPerSecond: 1000 });
      await using _ = bench;
      await assign(bench.link, {
        'm.mjs': `for (let i = 0; i < 5000; i++) console.log('noise '.repeat(20)); ${source}`,
      });
      expect(await agent.exited).toBe(70);
      await until('disconnect', () => bench.disconnects() === 1);
      expect(texts(bench).join('\n')).toContain('last words');
      expect(bench.outputs.some(({ droppedBytes }) => droppedBytes > 100_000)).toBe(true);
      expect(bench.violations).toEqual([]);
    });
  }
});

describe('output', () => {
  it('cuts long lines, sends unfinished ones after a moment, and keeps characters whole', async () => {
    const { bench } = await connected();
    await using _ = bench;
    await assign(bench.link, {
      'm.mjs': `
      console.log('é'.repeat(10_000));
      const bytes = Buffer.from('ü\\n'); process.stdout.write(bytes.subarray(0, 1)); process.stdout.write(bytes.subarray(1));
      process.stdout.write('no newline');`,
    });
    await until('output', () => bench.outputs.length >= 3);
    const [long, whole, open] = texts(bench);
    expect(long).toMatch(/^é{4096} \[11808 bytes cut\]$/);
    expect(whole).toBe('ü');
    expect(open).toBe('no newline');
  });

  it('takes 1 GiB through console without memory, and calls are answered meanwhile', async () => {
    const { bench, agent } = await connected({ outputBytesPerSecond: 256 * 1024 });
    await using _ = bench;
    await assign(
      bench.link,
      {
        'm.mjs': `
      const line = 'x'.repeat(1023); let left = 1024 * 1024;
      const some = () => { for (let i = 0; i < 1000 && left > 0; i++, left--) console.log(line); if (left > 0) setImmediate(some); };
      some();
      export const remaining = () => left;`,
      },
      ['remaining'],
    );
    let worstMs = 0;
    let peakBytes = 0;
    const startBytes = residentBytes(agent.child.pid ?? 0);
    while (
      (await (async () => {
        const atMs = performance.now();
        const left = (await call(bench.link, 'remaining')) as number;
        worstMs = Math.max(worstMs, performance.now() - atMs);
        peakBytes = Math.max(peakBytes, residentBytes(agent.child.pid ?? 0));
        await new Promise((resolve) => {
          setTimeout(resolve, 20);
        });
        return left;
      })()) > 0
    );
    expect(worstMs).toBeLessThan(1000);
    expect(peakBytes - startBytes).toBeLessThan(120 * 1024 * 1024);
    expect(bench.violations).toEqual([]);
    // The rest was counted, not sent.
    await until('a count of what was lost', () => bench.outputs.some(({ droppedBytes }) => droppedBytes > 1024 * 1024));
  }, 60_000);

  it('is bounded when printed in one synchronous loop, by process.stdout too', async () => {
    const { bench, agent } = await connected();
    await using _ = bench;
    await assign(
      bench.link,
      {
        'm.mjs': `
      export const flood = () => { for (let i = 0; i < 200_000; i++) process.stdout.write('y'.repeat(1000) + '\\n'); return process.memoryUsage.rss(); };`,
      },
      ['flood'],
    );
    expect(await call(bench.link, 'flood', null, 20_000)).toBeLessThan(220 * 1024 * 1024);
    expect(agent.child.exitCode).toBe(null);
  }, 30_000);
});

describe('the user bus', () => {
  it('publishes, subscribes once a topic, delivers, unsubscribes, and subscribes anew after a reconnect', async () => {
    using directory = shortDirectory();
    const first = await openBench({ directory: directory.path });
    await using agent = await spawnAgent(directory.path);
    await until('the agent to connect', () => first.link.connected());
    await assign(
      first.link,
      {
        'm.mjs': `
      let off;
      export async function start(ctx) {
        await ctx.bus.subscribe('news', (payload, { from }) => console.log('one', from, payload.n));
        off = await ctx.bus.subscribe('news', () => { throw new Error('handler broke'); });
        await ctx.bus.subscribe('other', () => {});
      }
      export const say = (p, ctx) => ctx.bus.publish('chat', p);
      export const bad = (p, ctx) => ctx.bus.publish('NOT A TOPIC', p);
      export const leave = () => off();`,
      },
      ['say', 'bad', 'leave'],
    );
    expect(first.kernelRequests).toEqual([
      { method: 'bus.subscribe', params: { topic: 'news' } },
      { method: 'bus.subscribe', params: { topic: 'other' } },
    ]);
    first.link.notify('bus.deliver', { topic: 'news', from: 'b', payload: { n: 7 } });
    await until(
      'delivery',
      () => texts(first).includes('one b 7') && texts(first).some((text) => text.includes('handler broke')),
    );
    expect(await call(first.link, 'say', 1)).toEqual({ delivered: 0 });
    expect(await failure(call(first.link, 'bad'))).toMatchObject({
      code: 'MODULE_ERROR',
      context: { code: 'INVALID_PARAMS' },
    });
    await call(first.link, 'leave');
    await first.link.close();
    await using second = await openBench({ directory: directory.path });
    await until('subscriptions again', () => second.kernelRequests.length === 2);
    expect(second.kernelRequests.map(({ params }) => params)).toEqual([{ topic: 'news' }, { topic: 'other' }]);
    expect(agent.child.exitCode).toBe(null);
  });
});

describe('a module that publishes without pause', () => {
  it('is refused in its own process, and its instance lives on', async () => {
    const { bench } = await connected({ limits: { framesPerSecond: 500, bytesPerSecond: 100_000 } });
    await using _ = bench;
    await assign(
      bench.link,
      {
        'm.mjs': `
      export const flood = async (p, ctx) => {
        const codes = {}; const until = Date.now() + 3500;
        while (Date.now() < until) {
          try { await ctx.bus.publish('t', p); codes.ok = (codes.ok ?? 0) + 1; }
          catch (e) { codes[e.code] = (codes[e.code] ?? 0) + 1; await new Promise((r) => setTimeout(r, 1)); }
        }
        return codes;
      };
      export const publish = (p, ctx) => ctx.bus.publish('t', p.kind === 'big' ? 'x'.repeat(2_000_000) : p.kind === 'cyclic' ? globalThis : 1n);`,
      },
      ['flood', 'publish'],
    );
    const codes = (await call(bench.link, 'flood', 'small', 10_000)) as Record<string, number>;
    expect(codes['LIMIT_EXCEEDED']).toBeGreaterThan(10);
    expect(codes['ok']).toBeGreaterThan(50);
    for (const [kind, code] of [
      ['big', 'PAYLOAD_TOO_LARGE'],
      ['cyclic', 'INVALID_PARAMS'],
      ['bigint', 'INVALID_PARAMS'],
    ]) {
      expect(await failure(call(bench.link, 'publish', { kind }))).toMatchObject({
        code: 'MODULE_ERROR',
        context: { code },
      });
    }
    expect(bench.violations).toEqual([]);
  }, 20_000);
});

describe('the process', () => {
  it('keeps the exit code a module chose, and its output until then', async () => {
    const { bench, agent } = await connected();
    await using _ = bench;
    await assign(bench.link, { 'm.mjs': 'export const leave = () => { console.log("bye"); process.exit(3); };' }, [
      'leave',
    ]);
    expect(await failure(call(bench.link, 'leave'))).toMatchObject({ code: 'INSTANCE_LOST' });
    expect(await agent.exited).toBe(3);
    expect(texts(bench)).toEqual(['bye']);
  });

  it('shows a loop without end by an unanswered ping', async () => {
    const { bench } = await connected();
    await using _ = bench;
    await assign(bench.link, { 'm.mjs': 'export const spin = () => { for (;;); };' }, ['spin']);
    const spin = failure(call(bench.link, 'spin', null, 300));
    expect(await failure(bench.link.request('ping', null, { timeoutMs: 300 }))).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
    expect(await spin).toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  });

  it('keeps few descriptors and threads, and no file of the module open', async () => {
    const { bench, agent } = await connected();
    await using _ = bench;
    await assign(bench.link, { 'm.mjs': '' });
    const fds = readdirSync(`/proc/${agent.child.pid}/fd`).map((fd) => {
      try {
        return readlinkSync(join(`/proc/${agent.child.pid}/fd`, fd));
      } catch {
        return 'gone'; // closed between the two calls
      }
    });
    expect(fds.filter((path) => path.includes('/module/'))).toEqual([]);
    expect(Number(/Threads:\s+(\d+)/.exec(readFileSync(`/proc/${agent.child.pid}/status`, 'utf8'))?.[1])).toBeLessThan(
      16,
    );
  });
});
