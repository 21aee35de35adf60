import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import { startSmallKernel, until, type Behaviour } from '../client/small-kernel.ts';
import { EVENT, STATUS } from './answers.ts';
import { runProgram, type RunOptions } from './run-program.ts';

const against = async (behaviour: Behaviour, argv: string[], options?: RunOptions) => {
  await using kernel = await startSmallKernel(behaviour);
  return { ...(await runProgram(['--socket', kernel.socketPath, ...argv], options)), heard: kernel.heard };
};
const forever = (_: unknown, signal: AbortSignal) =>
  new Promise((_resolve, reject) =>
    signal.addEventListener('abort', () => reject(new KernelError('CANCELLED', 'withdrawn'))),
  );

describe('usage', () => {
  it.each([
    [[], 'kernelctl needs a command'],
    [['zone'], 'kernelctl zone needs a command'],
    [['statsu'], "unknown command 'statsu' (Did you mean status?)"],
    [['status', '--bogus'], "unknown option '--bogus'"],
    [['status', 'more'], 'too many arguments'],
    [['zone', 'inspect'], "missing required argument 'zone'"],
    [['zone', 'inspect', 'prod'], "'prod' is not acceptable as <zone>"],
    [['module', 'show', 'Bad_Name'], "'Bad_Name' is not acceptable as <name>"],
    [['module', 'install', 'x', '--zone', 'prod'], "argument 'prod' is invalid"],
    [['events', '-n', '-1'], 'whole number'],
    [['events', '-n', '10001'], 'whole number'],
    [['module', 'call', 'm', 'f', '--timeout', '2'], 'a time with unit'],
    [['module', 'call', 'm', 'f', '--timeout', '25h'], '1ms to 24h'],
    [['module', 'call', 'm', 'f', '{name:1}'], 'are not JSON'],
  ])('%j ends with 2 and says what is wrong and where help is', async (argv, message) => {
    const { status, stdout, stderr } = await runProgram(argv);
    expect(status).toBe(2);
    expect(stdout).toBe('');
    expect(stderr.replace(/\s+/g, ' ')).toContain(message);
    expect(stderr).toMatch(/See kernelctl.* --help|Quote them/);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  it('is one JSON document on stdout with --json, wherever that stands', async () => {
    for (const argv of [
      ['--json', 'zone', 'inspect', 'x'],
      ['zone', 'inspect', 'x', '--json'],
    ]) {
      const { status, stdout, stderr } = await runProgram(argv);
      expect(status).toBe(2);
      expect(stderr).toBe('');
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'USAGE' } });
    }
  });

  it('prints the version', async () => {
    expect(await runProgram(['--version'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\S*\n$/),
    });
  });

  it('shows help with the summaries of the declarations and examples, within 80 columns', async () => {
    for (const argv of [
      ['--help'],
      ['help'],
      ['module', '--help'],
      ['module', 'call', '--help'],
      ['zone', '-h'],
      ['config', '-h'],
    ]) {
      const { status, stdout, stderr } = await runProgram(argv);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    }
    const { stdout } = await runProgram(['--help']);
    expect(stdout).toContain('Show mode, zones, instances and modules');
    expect(stdout).toContain('Examples:');
  });
});

describe('without a kernel', () => {
  it.each(
    [['status'], ['zone', 'ls'], ['doctor'], ['events'], ['logs', 'm'], ['module', 'ls'], ['config', 'show']].map(
      (argv) => [argv],
    ),
  )('%j ends with 3 and says how to start one', async (argv) => {
    const { status, stderr } = await runProgram(argv);
    expect(status).toBe(3);
    expect(stderr).toContain('no kernel answers at /nowhere/run/operator.sock');
    expect(stderr).toContain('scripts/start');
  });

  it('config check looks at the file that a kernel would read', async () => {
    const { status, stdout } = await runProgram(['config', 'check']);
    expect(stdout).toMatch(/no kernel runs[\s\S]*config\/kernel.yaml: ok/);
    expect(status).toBe(0);
  });

  it('config check --file lists every mistake with its place and ends with 1', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'kc-'));
    try {
      const file = join(directory, 'kernel.yaml');
      await writeFile(file, 'apiVersion: kerneld/v1\nzonse: {}\ninstances:\n  startTimeout: 5\n');
      const human = await runProgram(['config', 'check', '--file', file]);
      expect(human.status).toBe(1);
      expect(human.stdout).toContain(':2:1: zonse');
      expect(human.stdout).toContain('2 mistakes');
      const json = await runProgram(['config', 'check', '--file', file, '--json']);
      expect(json.status).toBe(1);
      expect(JSON.parse(json.stdout)).toMatchObject({
        ok: false,
        file,
        issues: [{ line: 2 }, { line: 4 }],
        changes: [],
      });
      expect((await runProgram(['config', 'check', '--file', join(directory, 'none')])).status).toBe(1);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});

describe('module call', () => {
  const answers = {
    'module.call': ({ params }: Record<string, unknown>) => ({
      greeting: `Hello, ${(params as { name: string }).name}`,
    }),
  };
  const argv = ['module', 'call', 'greeter', 'hello'];

  it('prints exactly the result on one line, with and without --json', async () => {
    for (const flags of [[], ['--json']]) {
      expect(await against({ answers }, [...argv, '{"name":"Ada"}', ...flags])).toMatchObject({
        status: 0,
        stdout: '{"greeting":"Hello, Ada"}\n',
        stderr: '',
      });
    }
  });

  it('reads parameters from standard input, sends {} without any, and passes the time limit on', async () => {
    expect((await against({ answers }, [...argv, '-'], { stdin: '{"name":"Bo"}\n' })).stdout).toBe(
      '{"greeting":"Hello, Bo"}\n',
    );
    const { heard } = await against({ answers }, [...argv, '--timeout', '1500ms']);
    expect(heard[0]?.params).toEqual({ module: 'greeter', function: 'hello', params: {}, timeoutMs: 1500 });
  });

  it('takes a negative number for parameters', async () => {
    const { heard } = await against({ answers }, [...argv, '-5']);
    expect(heard[0]?.params['params']).toBe(-5);
  });

  it('shows no control character of a result unescaped', async () => {
    const hostile = '\u001b[2J\u009b2J\u202ex\u2028';
    const { stdout } = await against({ answers: { 'module.call': () => hostile } }, argv);
    expect(stdout).toMatch(/^[\x20-\x7e]*\n$/);
    expect(JSON.parse(stdout)).toBe(hostile);
  });

  it('says code, message and advice of a failure, never more', async () => {
    const failing = {
      'module.call': () => {
        throw new KernelError('MODULE_UNAVAILABLE', 'no instance of greeter is ready', { retryAfterMs: 1500 });
      },
    };
    const human = await against({ answers: failing }, argv);
    expect(human).toMatchObject({
      status: 1,
      stdout: '',
      stderr: 'kernelctl: no instance of greeter is ready (MODULE_UNAVAILABLE)\n  Try again in 1.5s.\n',
    });
    const json = await against({ answers: failing }, [...argv, '--json']);
    expect(json).toMatchObject({ status: 1, stderr: '' });
    expect(JSON.parse(json.stdout)).toEqual({
      error: { code: 'MODULE_UNAVAILABLE', message: 'no instance of greeter is ready', retryAfterMs: 1500 },
    });
  });

  it('is cancelled by an interrupt and ends with 1', async () => {
    let interrupt = () => {};
    let cancelled = false;
    const answer = (_: unknown, signal: AbortSignal) => {
      interrupt();
      return new Promise(() =>
        signal.addEventListener('abort', () => {
          cancelled = true;
        }),
      );
    };
    await using kernel = await startSmallKernel({ answers: { 'module.call': answer } });
    const outcome = await runProgram(['--socket', kernel.socketPath, ...argv], {
      interruptible: (fn) => {
        interrupt = fn;
      },
    });
    expect(outcome).toMatchObject({ status: 1, stdout: '' });
    expect(outcome.stderr).toContain('CANCELLED');
    await until(() => cancelled);
  });
});

describe('status', () => {
  it('prints what the kernel answers with --json', async () => {
    const { status, stdout } = await against({ answers: { 'kernel.status': () => STATUS } }, ['status', '--json']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual(STATUS);
    expect(stdout.indexOf('\n')).toBe(stdout.length - 1);
  });

  it('uses colours on a terminal only, and never with NO_COLOR', async () => {
    const answers = { 'kernel.status': () => STATUS };
    expect((await against({ answers }, ['status'])).stdout).not.toContain('\u001b');
    expect((await against({ answers }, ['status'], { terminal: true })).stdout).toContain('\u001b[32m');
    expect((await against({ answers }, ['status'], { terminal: true, env: { NO_COLOR: '1' } })).stdout).not.toContain(
      '\u001b',
    );
  });

  it('says that the versions may differ when an answer cannot be shown', async () => {
    const { status, stderr } = await against({ answers: { 'kernel.status': () => ({ mode: 'running' }) } }, ['status']);
    expect(status).toBe(1);
    expect(stderr).toContain('same version');
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

describe('doctor', () => {
  it('ends with 1 when a check failed and with 0 when all are ok or warnings', async () => {
    const checks = [{ name: 'engine', status: 'warning', observed: 'x', remedy: 'y' }];
    expect((await against({ answers: { 'kernel.doctor': () => ({ ok: true, checks }) } }, ['doctor'])).status).toBe(0);
    expect(
      (await against({ answers: { 'kernel.doctor': () => ({ ok: false, checks }) } }, ['doctor', '--json'])).status,
    ).toBe(1);
  });
});

describe('events', () => {
  const some = {
    'event.follow': async function* () {
      yield EVENT;
      yield { ...EVENT, seq: 2 };
    },
  };

  it('are one array with --json, and one document a line when following', async () => {
    expect(JSON.parse((await against({ streams: some }, ['events', '--json'])).stdout)).toEqual([
      EVENT,
      { ...EVENT, seq: 2 },
    ]);
    const lines = (await against({ streams: some }, ['events', '--json', '-f'])).stdout.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([EVENT, { ...EVENT, seq: 2 }]);
  });

  it('ask for as many as are wanted', async () => {
    const { heard } = await against({ streams: some }, ['events', '-n', '7', '-f']);
    expect(heard[0]?.params).toEqual({ follow: true, limit: 7 });
  });

  it('end quietly with 0 when following is interrupted', async () => {
    const streams = {
      'event.follow': async function* (_: unknown, signal: AbortSignal) {
        yield EVENT;
        await forever(_, signal);
      },
    };
    let interrupt = () => {};
    const outcome = await against({ streams }, ['events', '-f'], {
      interruptible: (fn) => {
        interrupt = fn;
      },
      onStdout: () => setTimeout(() => interrupt(), 10),
    });
    expect(outcome).toMatchObject({ status: 0, stderr: '' });
  });

  it('end quietly with 0 when nobody reads any more', async () => {
    const streams = {
      'event.follow': async function* () {
        for (;;) yield EVENT;
      },
    };
    expect(await against({ streams }, ['events', '-f'], { closeAfterBytes: 500 })).toMatchObject({
      status: 0,
      stderr: '',
    });
  });

  const LINE = { at: '2026-05-01T00:00:00.000Z', stream: 'stdout', module: 'm', instance: 'i-1', text: 'x' };
  const endless = async function* (item: unknown, signal: AbortSignal) {
    yield item;
    await forever(null, signal);
  };

  it.each([
    ['closes the connection as it stops', (socket: WebSocket) => socket.close(1001), 'the kernel stopped'],
    ['is killed', (socket: WebSocket) => socket.terminate(), 'the kernel went away'],
  ])('and logs -f end with 3 and one line when the kernel %s', async (_, cutOff, told) => {
    for (const argv of [
      ['events', '-f'],
      ['logs', 'm', '-f'],
    ]) {
      await using kernel = await startSmallKernel({
        streams: {
          'event.follow': (_params, signal) => endless(EVENT, signal),
          'module.logs': (_params, signal) => endless(LINE, signal),
        },
      });
      const onStdout = () => {
        for (const socket of kernel.connections()) cutOff(socket);
      };
      const outcome = await runProgram(['--socket', kernel.socketPath, ...argv], { onStdout });
      expect(outcome).toMatchObject({ status: 3, stderr: `kernelctl: ${told} (NO_KERNEL)\n` });
    }
  });

  it('end with 3 when the kernel withdraws the stream because it stops', async () => {
    const streams = {
      'event.follow': async function* (): AsyncGenerator {
        yield EVENT;
        throw new KernelError('STOPPING', 'the kernel is stopping');
      },
    };
    expect(await against({ streams }, ['events', '-f', '--json'])).toMatchObject({
      status: 3,
      stdout: expect.stringContaining('NO_KERNEL'),
    });
    expect(await against({ streams }, ['events'])).toMatchObject({ status: 1 });
  });

  it('end with 1 when the kernel answers that it cannot follow', async () => {
    const streams = {
      'event.follow': async function* (): AsyncGenerator {
        yield EVENT;
        throw new KernelError('UNAVAILABLE', 'output is not up yet', { retryAfterMs: 200 });
      },
    };
    expect(await against({ streams }, ['events', '-f'])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('UNAVAILABLE'),
    });
  });
});

describe('the program as a process', () => {
  const PROGRAM = `import('./daemon/cli/main.ts').then((m) => m.main(process.argv.slice(1))).then((s) => { process.exitCode = s; })`;

  it('survives a closed pipe without a word', async () => {
    await using kernel = await startSmallKernel({
      streams: {
        'event.follow': async function* () {
          for (;;) yield EVENT;
        },
      },
    });
    const { stdout, stderr } = await promisify(execFile)(
      '/bin/sh',
      ['-c', `"$0" -e "$1" -- --socket "$2" events -f | head -n 2`, process.execPath, PROGRAM, kernel.socketPath],
      { timeout: 20_000 },
    );
    expect(stdout.trimEnd().split('\n')).toHaveLength(2);
    expect(stderr).toBe('');
  });

  it('ends with 0 on SIGINT while following', async () => {
    await using kernel = await startSmallKernel({
      streams: {
        'event.follow': async function* (_: unknown, signal: AbortSignal) {
          yield EVENT;
          await forever(_, signal);
        },
      },
    });
    const child = execFile(process.execPath, ['-e', PROGRAM, '--', '--socket', kernel.socketPath, 'events', '-f']);
    child.stdout?.once('data', () => child.kill('SIGINT'));
    const status = await new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal)));
    expect(status).toBe(0);
  });
});
