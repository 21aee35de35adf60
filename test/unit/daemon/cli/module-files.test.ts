import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadArtifact } from '../../../../daemon/cli/commands/module-files.ts';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import { openServer } from '../../../support/control-fixture.ts';
import { runProgram } from './run-program.ts';

const workshop = async () => {
  const path = await mkdtemp(join(tmpdir(), 'kc-'));
  await runProgram(['module', 'init', join(path, 'greeter')]);
  return {
    path,
    module: join(path, 'greeter'),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
};

/** Takes uploads as the kernel does, and keeps what came. */
const uploads = () => {
  const received: Buffer[] = [];
  const opened: { bytes: number; sha256: string }[] = [];
  const installs: unknown[] = [];
  return {
    received,
    opened,
    installs,
    handlers: {
      'upload.open': async (params: { bytes: number; sha256: string }) => {
        opened.push(params);
        return { upload: 'u-1' };
      },
      'upload.write': async ({ offset, base64 }: { offset: number; base64: string }) => {
        if (offset !== Buffer.concat(received).byteLength) throw new KernelError('INVALID_PARAMS', 'out of order');
        received.push(Buffer.from(base64, 'base64'));
        return { received: Buffer.concat(received).byteLength };
      },
      'module.install': async (params: { upload: string; zone?: 'stable' | 'sandbox' }) => {
        installs.push(params);
        return {
          module: 'greeter',
          version: '1.0.0',
          digest: `sha256:${'0'.repeat(64)}`,
          zone: params.zone ?? ('stable' as const),
          generation: 1,
          signed: false,
          phase: 'running',
        };
      },
    },
  };
};
const LIMITS = { maxFrameBytes: 2 * 1024 * 1024, maxConnections: 16, maxInFlight: 16 };

describe('module init, validate and pack', () => {
  it('make a module that is acceptable, without a kernel', async () => {
    await using shop = await workshop();
    expect(await runProgram(['module', 'validate', shop.module])).toMatchObject({ status: 0, stderr: '' });
    const again = await runProgram(['module', 'init', shop.module, '--json']);
    expect(again.status).toBe(1);
    expect(JSON.parse(again.stdout)).toMatchObject({ error: { code: 'CONFLICT' } });
  });

  it('write the artifact whole, and what was packed says what the directory says', async () => {
    await using shop = await workshop();
    const file = join(shop.path, 'g.kmod');
    await writeFile(file, 'old');
    const packed = await runProgram(['module', 'pack', shop.module, '-o', file, '--json']);
    expect(packed.status).toBe(0);
    const artifact = await runProgram(['module', 'validate', file, '--json']);
    const directory = await runProgram(['module', 'validate', shop.module, '--json']);
    const { digest } = JSON.parse(directory.stdout) as { digest: string };
    expect(JSON.parse(artifact.stdout)).toMatchObject({ ok: true, module: 'greeter', digest });
    expect(JSON.parse(packed.stdout)).toMatchObject({ file, digest });
    expect((await readdir(shop.path)).toSorted()).toEqual(['g.kmod', 'greeter']);
  });

  it('leave nothing behind when the artifact cannot be written', async () => {
    await using shop = await workshop();
    const target = join(shop.path, 'taken');
    await mkdir(target);
    expect((await runProgram(['module', 'pack', shop.module, '-o', target])).status).toBe(1);
    expect((await readdir(shop.path)).toSorted()).toEqual(['greeter', 'taken']);
  });

  it('list every mistake in a manifest', async () => {
    await using shop = await workshop();
    await writeFile(join(shop.module, 'module.yaml'), 'apiVersion: kerneld/v1\nname: Bad\nvers: 1\n');
    const { status, stderr } = await runProgram(['module', 'validate', shop.module]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/module\.yaml:2:\d+: name/);
    expect(stderr).toMatch(/module\.yaml:3:\d+: vers/);
  });

  it.each([
    ['nothing', 'NOT_FOUND'],
    ['noise.kmod', 'ARTIFACT_INVALID'],
  ])('refuse %s', async (name, code) => {
    await using shop = await workshop();
    await writeFile(join(shop.path, 'noise.kmod'), 'noise');
    const { status, stdout } = await runProgram(['module', 'validate', join(shop.path, name), '--json']);
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code } });
  });
});

describe('module install', () => {
  it('packs a directory, sends it whole and installs it in the zone', async () => {
    await using shop = await workshop();
    const kernel = uploads();
    await using server = await openServer(kernel.handlers as never, { limits: LIMITS });
    const { status, stdout, stderr } = await runProgram([
      '--socket',
      server.socketPath,
      'module',
      'install',
      shop.module,
      '--zone',
      'sandbox',
    ]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('installed greeter 1.0.0 in sandbox, generation 1, unsigned: running');
    const { bytes } = await loadArtifact(shop.module);
    expect(Buffer.concat(kernel.received).equals(bytes)).toBe(true);
    expect(kernel.installs).toEqual([{ upload: 'u-1', zone: 'sandbox' }]);
  });

  it('sends a large artifact in parts that fit the operation, with the digest of the whole', async () => {
    await using shop = await workshop();
    const noise = randomBytes(1_600_000).toString('base64');
    const source = await readFile(join(shop.module, 'index.mjs'), 'utf8');
    await writeFile(join(shop.module, 'index.mjs'), `${source}\nexport const noise = ${JSON.stringify(noise)};\n`);
    const file = join(shop.path, 'g.kmod');
    await runProgram(['module', 'pack', shop.module, '-o', file]);
    const kernel = uploads();
    await using server = await openServer(kernel.handlers as never, { limits: LIMITS });
    const { status, stdout } = await runProgram(['--socket', server.socketPath, '--json', 'module', 'install', file]);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ module: 'greeter', zone: 'stable' });
    const bytes = await readFile(file);
    expect(kernel.received.length).toBeGreaterThan(1);
    expect(Buffer.concat(kernel.received).equals(bytes)).toBe(true);
    expect(kernel.opened).toEqual([
      { bytes: bytes.byteLength, sha256: createHash('sha256').update(bytes).digest('hex') },
    ]);
  });

  it('shows progress on a terminal and takes it away again', async () => {
    await using shop = await workshop();
    await using server = await openServer(uploads().handlers as never, { limits: LIMITS });
    const { stderr } = await runProgram(['--socket', server.socketPath, 'module', 'install', shop.module], {
      terminal: true,
    });
    expect(stderr).toContain('sending greeter 0 %');
    expect(stderr.endsWith('\r\u001b[K')).toBe(true);
  });
});
