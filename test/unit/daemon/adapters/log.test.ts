import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import { createLog, type LogOptions } from '../../../../daemon/adapters/log.ts';

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kd-'));
  path = join(directory, 'kernel.log');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const open = (more: Partial<LogOptions> = {}) => {
  const shown: string[] = [];
  const output = {
    write: (text: string) => void shown.push(text),
    flush: async () => undefined,
    dropped: () => 0,
    gone: () => false,
  };
  const log = createLog({
    level: 'info',
    file: { path, maxFileBytes: 1e6, files: 3 },
    output,
    pretty: false,
    wallMs: () => 0,
    ...more,
  });
  return { log, shown };
};
const lines = () =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('the log of the kernel', () => {
  it('writes one JSON line an entry, with time, level, fields of its parents and its own', () => {
    const { log, shown } = open();
    log.child({ zone: 'stable' }).child({ instance: 'i-1' }).warn('came late', { lateMs: 5 });
    expect(lines()).toEqual([
      {
        level: 'warn',
        at: '1970-01-01T00:00:00.000Z',
        zone: 'stable',
        instance: 'i-1',
        lateMs: 5,
        message: 'came late',
      },
    ]);
    expect(shown.join('')).toBe(readFileSync(path, 'utf8'));
  });

  it('changes its level live, for children too; critical always passes', () => {
    const { log } = open({ level: 'error' });
    const child = log.child({ a: 1 });
    child.info('no');
    child.critical('yes');
    log.setLevel('debug');
    child.debug('now');
    expect(lines().map((line) => line['message'])).toEqual(['yes', 'now']);
  });

  it('keeps secrets out at any depth, in errors and causes too, and leaves its input alone', () => {
    const { log, shown } = open({ level: 'debug' });
    const fields = {
      password: 's3',
      apiToken: 's3',
      nested: [{ clientSecret: 's3', deep: { private_key: 's3', signingKey: 's3', key: 's3' } }],
      authorization: 's3',
      monkey: 'shown',
      keyboard: 'shown',
      error: new KernelError('DENIED', 'no', {
        context: { token: 's3' },
        cause: new KernelError('INTERNAL', 'x', { context: { cookie: 's3' } }),
      }),
    };
    const before = structuredClone({ ...fields, error: null });
    log.child({ secret: 's3' }).info('x', fields);
    log.critical('y', { map: new Map([['token', 's3']]) });
    expect(shown.join('')).not.toContain('s3');
    expect(lines()[0]).toMatchObject({
      password: '[redacted]',
      monkey: 'shown',
      keyboard: 'shown',
      error: { name: 'KernelError', code: 'DENIED', cause: { code: 'INTERNAL' } },
    });
    expect({ ...fields, error: null }).toEqual(before);
  });

  it('is never broken or forged by what it is given', () => {
    const { log } = open();
    const cyclic: Record<string, unknown> = {
      n: 1n,
      f: () => 1,
      s: Symbol('x'),
      bytes: new Uint8Array(9),
      date: new Date(NaN),
      u: undefined,
    };
    cyclic['self'] = cyclic;
    log.info('x\ny', {
      level: 'critical',
      at: 'never',
      message: 'forged',
      cyclic,
      huge: 'z'.repeat(1e6),
      many: Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [i, i])),
      ['__proto__']: { polluted: 1 },
    });
    const [line] = lines();
    expect(lines()).toHaveLength(1);
    expect(line).toMatchObject({
      level: 'info',
      message: 'x\ny',
      level_: 'critical',
      at_: 'never',
      message_: 'forged',
    });
    expect(JSON.stringify(line).length).toBeLessThan(20_000);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  it('keeps one entry on one line in both forms, whatever the text', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string(),
      fc.constantFrom('\u2028', '\u009b2J', '\x1b]0;x\x07', '\r\n', '\u202e', '\ud800'),
    );
    fc.assert(
      fc.property(text, text, text, (message, name, value) => {
        for (const pretty of [true, false]) {
          const { log, shown } = open({ pretty, file: null });
          log.info(message, { [name]: value, nested: { [name]: [value] } });
          const line = shown.join('');
          expect(line.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e]/);
          expect(line.endsWith('\n')).toBe(true);
          if (!pretty)
            expect(JSON.parse(line)).toMatchObject({ message: message.isWellFormed() ? message : expect.anything() });
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('shows errors to people without a stack', () => {
    const { log, shown } = open({ pretty: true });
    log.error('failed', { error: new KernelError('NOT_FOUND', 'no such thing'), count: 2, text: 'two words' });
    expect(shown.join('')).toBe(
      '00:00:00.000 ERROR    failed error="NOT_FOUND: no such thing" count=2 text="two words"\n',
    );
    expect(lines()[0]).toMatchObject({ error: { stack: expect.stringContaining('log.test.ts') } });
  });

  it('is rotated by size, and bounded', () => {
    const { log } = open({ file: { path, maxFileBytes: 2_000, files: 3 } });
    for (let i = 0; i < 200; i += 1) log.info('x', { i });
    expect(readdirSync(directory).toSorted()).toEqual(['kernel.log', 'kernel.log.1', 'kernel.log.2']);
    for (const name of readdirSync(directory)) expect(statSync(join(directory, name)).size).toBeLessThanOrEqual(2_000);
    expect(lines().at(-1)).toMatchObject({ i: 199 });
  });

  it('goes on when the disk is full, and says afterwards how much is missing', () => {
    symlinkSync('/dev/full', path);
    const { log, shown } = open();
    for (let i = 0; i < 3; i += 1) log.info('x', { i });
    log.critical('also');
    expect(shown.filter((line) => !line.includes('lost'))).toHaveLength(4);
    expect(log.lost()).toEqual({ file: 5, output: 0 });
    unlinkSync(path);
    log.info('again');
    expect(lines().map((line) => line['message'])).toEqual(['again', 'lines of this log were lost']);
    log.info('and on');
    expect(lines()).toHaveLength(3);
  });

  it('tells that standard output is gone once, and never that the file lost lines', () => {
    let gone = false;
    const output = { write: () => undefined, flush: async () => undefined, dropped: () => 0, gone: () => gone };
    const { log } = open({ output });
    log.info('before');
    gone = true;
    for (let i = 0; i < 3; i += 1) log.info('after', { i });
    expect(lines().map((line) => line['message'])).toEqual([
      'before',
      'after',
      'standard output is gone',
      'after',
      'after',
    ]);
    expect(log.lost()).toEqual({ file: 0, output: 0 });
  });

  it('tells that standard output does not keep up once, and what is missing there when it does again', () => {
    let full = false;
    let dropped = 0;
    const output = {
      write: () => {
        if (full) dropped += 1;
      },
      flush: async () => undefined,
      dropped: () => dropped,
      gone: () => false,
    };
    const { log } = open({ output });
    full = true;
    for (let i = 0; i < 3; i += 1) log.info('x', { i });
    full = false;
    log.info('again');
    log.info('and on');
    expect(lines().map((line) => [line['message'], line['missing']])).toEqual([
      ['x', undefined],
      ['standard output does not keep up', undefined],
      ['x', undefined],
      ['x', undefined],
      ['again', undefined],
      ['lines are missing on standard output', 4],
      ['and on', undefined],
    ]);
    expect(log.lost()).toEqual({ file: 0, output: 4 });
  });

  it('begins a new line after one that was cut short', () => {
    writeFileSync(path, '{"level":"info"}\n{"half');
    const { log } = open();
    log.info('x');
    expect(readFileSync(path, 'utf8').split('\n').at(-2)).toContain('"message":"x"');
    expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(4);
  });

  it('works without its directory', () => {
    const { log, shown } = open({
      file: { path: join(directory, 'none', 'kernel.log'), maxFileBytes: 1_000, files: 2 },
    });
    log.critical('x');
    expect(shown.join('')).toContain('"message":"x"');
  });
});
