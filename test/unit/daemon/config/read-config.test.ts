import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readMachineFacts } from '../../../../daemon/config/machine-facts.ts';
import { readKernelConfig } from '../../../../daemon/config/read-config.ts';
import { KernelError } from '../../../../Kernel/contract/errors.ts';

let directory = '';
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kerneld-config-'));
});
afterAll(async () => rm(directory, { recursive: true, force: true }));

const write = async (name: string, content: string | Uint8Array): Promise<string> => {
  const file = join(directory, name);
  await writeFile(file, content);
  return file;
};
const read = (file: string) => readKernelConfig({ file, signal: AbortSignal.timeout(5000) });
const failure = async (file: string): Promise<KernelError> => {
  const error: unknown = await read(file).catch((thrown: unknown) => thrown);
  if (!(error instanceof KernelError)) throw new Error(`expected a KernelError, got ${String(error)}`);
  return error;
};

describe('readKernelConfig', () => {
  it('reads the shipped file on this machine', async () => {
    const file = new URL('../../../../config/kernel.yaml', import.meta.url).pathname;
    const loaded = await read(file);
    expect(loaded.file).toBe(file);
    expect(loaded.config.pool.memoryBytes).toBeLessThan(readMachineFacts().memoryBytes);
    expect(loaded.sources.get('logs.level')?.from).toBe('file');
  });

  it.each([
    ['a missing file', async () => join(directory, 'missing.yaml'), 'does not exist'],
    ['a directory', async () => directory, 'it is a directory'],
    ['a device', async () => '/dev/zero', 'not a regular file'],
    ['a file over 1 MiB', async () => write('large.yaml', '#'.repeat(1024 * 1024 + 1)), 'larger than 1MiB'],
    ['a path through a file', async () => join(await write('plain', ''), 'kernel.yaml'), 'ENOTDIR'],
  ])('%s is CONFIG_UNREADABLE with a remedy', async (_what, make, message) => {
    const error = await failure(await make());
    expect(error.code).toBe('CONFIG_UNREADABLE');
    expect(error.message).toContain(message);
    expect(error.remedy).toBeTruthy();
  });

  it('does not wait for the writer of a named pipe', async () => {
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    expect((await failure(pipe)).message).toContain('not a regular file');
  });

  it('reports every problem of an invalid file as CONFIG_INVALID', async () => {
    const file = await write('invalid.yaml', 'apiVersion: kerneld/v1\npol: {}\nlogs: {level: lod}\n');
    const error = await failure(file);
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toBe(`${file}:2:1  pol: unknown key; did you mean "pool"? (and 1 more)`);
    expect(error.context['issues']).toMatchObject([
      { line: 2, path: 'pol' },
      { line: 3, path: 'logs.level' },
    ]);
    expect(JSON.parse(JSON.stringify(error.toBody()))).toMatchObject({
      details: { issues: [{ suggestion: 'pool' }, {}] },
    });
  });

  it('reports bytes that are not UTF-8 with their place', async () => {
    const file = await write('binary.yaml', Buffer.from([...Buffer.from('apiVersion: '), 0xff, 0xfe]));
    expect((await failure(file)).context['issues']).toMatchObject([
      { line: 1, column: 13, message: 'character U+fffd does not belong in text' },
    ]);
  });

  it('stops when told to', async () => {
    const file = await write('valid.yaml', 'apiVersion: kerneld/v1\n');
    const reason = new Error('withdrawn');
    await expect(readKernelConfig({ file, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe('readMachineFacts', () => {
  it('gives what a zone can be cut from', () => {
    const facts = readMachineFacts();
    expect(facts.memoryBytes).toBeGreaterThan(64 * 1024 ** 2);
    expect(facts.cpus).toBeGreaterThanOrEqual(1);
  });
});
