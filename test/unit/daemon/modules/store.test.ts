import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Artifact } from '../../../../Kernel/contract/module/artifact.schema.ts';
import { parseDigest, parseModuleName } from '../../../../Kernel/contract/ids.ts';
import type { Log } from '../../../../Kernel/contract/ports.ts';
import type { DurableStep } from '../../../../Kernel/core/passive-update/durable-step.ts';
import { runStep, runSteps } from '../../../../daemon/modules/durable-steps.runner.ts';
import type { ModuleStore } from '../../../../daemon/modules/module-store.ts';
import { openStore } from '../../../../daemon/modules/store.ts';
import { readArtifact } from '../../../../daemon/modules/unpack.ts';
import { ENTRY, gzip, MANIFEST, metadataOf, rawTar } from './raw-archive.ts';

const silent: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  critical: () => {},
  child: () => silent,
};
const NAME = parseModuleName('probe');
const BY = { zone: 'sandbox', by: 'operator' } as const;

const artifactOf = (version: string): Promise<Artifact> => {
  const manifest = MANIFEST.replace('1.2.3', version);
  const files = { 'module.yaml': manifest, 'index.mjs': ENTRY, 'lib/deep/data.txt': version };
  return readArtifact(
    gzip(
      rawTar([
        { path: 'targets.json', content: metadataOf(files, manifest) },
        ...Object.entries(files).map(([path, content]) => ({ path, content })),
      ]),
    ),
  );
};

let root = '';
const open = (run?: (steps: readonly DurableStep[]) => Promise<void>): ModuleStore =>
  openStore({ root, clock: { wallMs: () => 1_700_000_000_000 }, log: silent, ...(run === undefined ? {} : { run }) });
const versions = async (store: ModuleStore): Promise<string[]> =>
  (await store.list()).modules.map(({ slots }) => slots.active.version);

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kerneld-store-'));
});
afterEach(async () => {
  await chmod(root, 0o700);
  await rm(root, { recursive: true, force: true });
});

describe('the store', () => {
  it('puts, installs, lists, loads and removes', async () => {
    const store = open();
    expect(await store.list()).toEqual({ modules: [], broken: [] });
    const artifact = await artifactOf('1.0.0');
    const digest = await store.put(artifact);
    expect(digest).toBe(artifact.digest);
    const installed = await store.install(NAME, { digest, ...BY });
    expect(installed).toMatchObject({
      name: 'probe',
      zone: 'sandbox',
      generation: 1,
      unsigned: true,
      by: 'operator',
      installedAt: '2023-11-14T22:13:20.000Z',
      slots: { active: { version: '1.0.0', digest }, fallback: null, next_stable: null },
      manifest: { name: 'probe' },
    });
    // Another kernel sees the same.
    expect(await open().list()).toEqual({ modules: [installed], broken: [] });
    const loaded = await store.load(digest);
    expect(loaded.files.get('lib/deep/data.txt')?.toString()).toBe('1.0.0');
    expect(await store.remove(NAME)).toBe(true);
    expect(await store.remove(NAME)).toBe(false);
    expect(await store.list()).toEqual({ modules: [], broken: [] });
    expect((await store.load(digest)).digest).toBe(digest);
  });

  it('lies on disk as the design says', async () => {
    const store = open();
    const digest = await store.put(await artifactOf('1.0.0'));
    await store.install(NAME, { digest, ...BY });
    const next = await store.put(await artifactOf('2.0.0'));
    await store.install(NAME, { digest: next, ...BY, zone: 'stable' });
    const hex = next.slice(7);
    expect((await readdir(join(root, 'store'))).toSorted()).toEqual(['.tmp', digest.slice(7), hex].toSorted());
    expect(await readlink(join(root, 'modules/probe/current'))).toBe('generations/2');
    expect((await readdir(join(root, 'modules/probe/generations/2'))).toSorted()).toEqual(['active', 'record.json']);
    expect(await readFile(join(root, 'modules/probe/current/active/module.yaml'), 'utf8')).toContain('2.0.0');
    expect(JSON.parse(await readFile(join(root, 'modules/probe/current/record.json'), 'utf8'))).toMatchObject({
      generation: 2,
      previous: 1,
      zone: 'stable',
      unsigned: true,
      digest: next,
    });
    expect((await stat(join(root, 'store', hex))).mode & 0o777).toBe(0o700);
    expect((await stat(join(root, 'store', hex, 'index.mjs'))).mode & 0o777).toBe(0o400);
    expect(await readdir(join(root, 'modules/.tmp'))).toEqual([]);
    expect(await readdir(join(root, 'store/.tmp'))).toEqual([]);
  });

  it('refuses to install what is not there or is another module', async () => {
    const store = open();
    await expect(store.install(NAME, { digest: parseDigest(`sha256:${'0'.repeat(64)}`), ...BY })).rejects.toMatchObject(
      { code: 'NOT_FOUND' },
    );
    const digest = await store.put(await artifactOf('1.0.0'));
    await expect(store.install(parseModuleName('other'), { digest, ...BY })).rejects.toMatchObject({
      code: 'MODULE_INVALID',
    });
    expect(await store.list()).toEqual({ modules: [], broken: [] });
  });

  it('refuses to put content that is not what the metadata says', async () => {
    const artifact = await artifactOf('1.0.0');
    const files = new Map([...artifact.files, ['index.mjs', Buffer.from('evil')] as const]);
    await expect(open().put({ ...artifact, files })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
  });

  it('lets writers of one module take turns', async () => {
    const store = open();
    const digests = await Promise.all(
      ['1.0.0', '2.0.0', '3.0.0'].map(async (version) => store.put(await artifactOf(version))),
    );
    await Promise.all([...digests, ...digests].map((digest) => store.install(NAME, { digest, ...BY })));
    const same = await artifactOf('9.0.0');
    await Promise.all([store.put(same), store.put(same), store.put(same)]);
    const { modules, broken } = await store.list();
    expect(broken).toEqual([]);
    expect(modules[0]?.generation).toBe(6);
    expect((await readdir(join(root, 'modules/probe/generations'))).toSorted()).toEqual(['1', '2', '3', '4', '5', '6']);
  });
});

describe('a change that is interrupted', () => {
  /** Stops for good before step `limit` of all that is run, as a power cut would. */
  const dyingAfter = (limit: number) => {
    let done = 0;
    return {
      steps: () => done,
      run: async (steps: readonly DurableStep[]): Promise<void> => {
        for (const step of steps) {
          if (done >= limit) throw new Error('power cut');
          await runStep(step);
          done += 1;
        }
      },
    };
  };

  it('at any step of a first install shows nothing or the whole, and sweeps to nothing left', async () => {
    const artifact = await artifactOf('1.0.0');
    let cuts = 0;
    for (let limit = 0; ; limit += 1) {
      await rm(root, { recursive: true, force: true });
      await mkdir(root);
      const power = dyingAfter(limit);
      const outcome = await (async () => {
        const store = open(power.run);
        return store.install(NAME, { digest: await store.put(artifact), ...BY });
      })().then(
        () => 'done',
        () => 'cut',
      );
      const after = open();
      await after.sweep();
      const { modules, broken } = await after.list();
      expect(broken, `cut after ${limit}`).toEqual([]);
      expect(await after.sweep()).toEqual([]);
      if (modules.length > 0) expect((await after.load(modules[0]!.slots.active.digest)).digest).toBe(artifact.digest);
      else expect(await readdir(join(root, 'modules'))).toEqual(['.tmp']);
      expect(await readdir(join(root, 'store/.tmp'))).toEqual([]);
      // What was cut can be done again.
      await after.install(NAME, { digest: await after.put(artifact), ...BY });
      expect(await versions(after)).toEqual(['1.0.0']);
      if (outcome === 'done') break;
      cuts += 1;
    }
    expect(cuts).toBeGreaterThan(25);
  });

  it('at any step of an update leaves the old version or the new one, whole', async () => {
    const [one, two] = [await artifactOf('1.0.0'), await artifactOf('2.0.0')];
    const seen = new Set<string>();
    for (let limit = 0; ; limit += 1) {
      await rm(root, { recursive: true, force: true });
      await mkdir(root);
      const before = open();
      await before.install(NAME, { digest: await before.put(one), ...BY });
      const power = dyingAfter(limit);
      const store = open(power.run);
      const outcome = await (async () => store.install(NAME, { digest: await store.put(two), ...BY }))().then(
        () => 'done',
        () => 'cut',
      );
      const after = open();
      // Even before the sweep nothing is broken.
      expect((await after.list()).broken, `cut after ${limit}`).toEqual([]);
      await after.sweep();
      const { modules, broken } = await after.list();
      expect(broken).toEqual([]);
      expect(modules).toHaveLength(1);
      seen.add(modules[0]!.slots.active.version);
      await after.load(modules[0]!.slots.active.digest);
      expect((await readdir(join(root, 'modules/probe'))).toSorted()).toEqual(['current', 'generations']);
      expect((await readdir(join(root, 'modules/probe/generations'))).length).toBe(modules[0]!.generation);
      if (outcome === 'done') break;
    }
    expect([...seen]).toEqual(['1.0.0', '2.0.0']);
  });

  it('at any step of a removal leaves the module whole or gone', async () => {
    for (let limit = 0; ; limit += 1) {
      await rm(root, { recursive: true, force: true });
      await mkdir(root);
      const before = open();
      await before.install(NAME, { digest: await before.put(await artifactOf('1.0.0')), ...BY });
      const store = open(dyingAfter(limit).run);
      const outcome = await store.remove(NAME).then(
        () => 'done',
        () => 'cut',
      );
      const after = open();
      await after.sweep();
      const { modules, broken } = await after.list();
      expect(broken).toEqual([]);
      expect(modules.length).toBe(limit === 0 ? 1 : 0);
      expect(await readdir(join(root, 'modules/.tmp'))).toEqual([]);
      if (outcome === 'done') break;
    }
  });

  it('by a full disk at any step is told, leaves the old state and no leftovers', async () => {
    const [one, two] = [await artifactOf('1.0.0'), await artifactOf('2.0.0')];
    let failures = 0;
    for (let at = 0; ; at += 1) {
      await rm(root, { recursive: true, force: true });
      await mkdir(root);
      const whole = open();
      await whole.install(NAME, { digest: await whole.put(one), ...BY });
      let count = 0;
      const store = open(async (steps) => {
        const cleanup = steps.every((step) => step.do === 'removeTree');
        for (const step of steps) {
          if (!cleanup && step.do !== 'syncDirectory') {
            count += 1;
            if (count > at) throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
          }
          await runSteps([step]);
        }
      });
      await (async () => store.install(NAME, { digest: await store.put(two), ...BY }))().then(
        () => undefined,
        () => {
          failures += 1;
        },
      );
      const { modules, broken } = await open().list();
      expect(broken).toEqual([]);
      if (modules[0]?.slots.active.version === '2.0.0') break;
      expect(await readdir(join(root, 'store/.tmp'))).toEqual([]);
      expect((await readdir(join(root, 'modules/probe'))).toSorted()).toEqual(['current', 'generations']);
      expect(await readdir(join(root, 'modules/probe/generations'))).toEqual(['1']);
      if (at > 100) throw new Error('the install never ends');
    }
    expect(failures).toBeGreaterThan(15);
  });

  it('names the step, the path and what to do', async () => {
    await writeFile(join(root, 'store'), 'in the way');
    const store = open();
    await expect(store.put(await artifactOf('1.0.0'))).rejects.toMatchObject({
      code: 'STATE_UNUSABLE',
      context: { step: 'makeDirectory' },
      remedy: expect.any(String) as unknown,
    });
  });
});

describe('damage on disk', () => {
  const prepare = async () => {
    const store = open();
    const artifact = await artifactOf('1.0.0');
    const digest = await store.put(artifact);
    await store.install(NAME, { digest, ...BY });
    const directory = join(root, 'store', digest.slice(7));
    for (const file of ['index.mjs', 'module.yaml', 'targets.json', 'lib/deep/data.txt'])
      await chmod(join(directory, file), 0o600);
    return { store, artifact, digest, directory };
  };

  it.each(['index.mjs', 'module.yaml', 'targets.json', 'lib/deep/data.txt'])(
    'of one bit in %s is found at load and names the file; putting again repairs it',
    async (file) => {
      const { store, artifact, digest, directory } = await prepare();
      const bytes = await readFile(join(directory, file));
      bytes[3] = (bytes[3] ?? 0) ^ 1;
      await writeFile(join(directory, file), bytes);
      await expect(store.load(digest)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH', context: { file } });
      await store.put(artifact);
      expect((await store.load(digest)).digest).toBe(digest);
      expect(await readdir(join(root, 'store/.tmp'))).toEqual([]);
    },
  );

  it('of a missing, longer or linked file is found at load', async () => {
    const { store, digest, directory } = await prepare();
    await writeFile(join(directory, 'index.mjs'), `${ENTRY}//`);
    await expect(store.load(digest)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await unlink(join(directory, 'index.mjs'));
    await expect(store.load(digest)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH', context: { file: 'index.mjs' } });
    await writeFile(join(root, 'same'), ENTRY);
    await symlink(join(root, 'same'), join(directory, 'index.mjs'));
    await expect(store.load(digest)).rejects.toMatchObject({ code: 'STATE_CORRUPT' });
    await rm(directory, { recursive: true });
    await expect(store.load(digest)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  const cases: [string, (at: string, directory: string) => Promise<unknown>][] = [
    ['no current', (at) => unlink(join(at, 'current'))],
    [
      'a current that leads away',
      async (at) => {
        await unlink(join(at, 'current'));
        await symlink('/etc', join(at, 'current'));
      },
    ],
    [
      'a current to a generation that is not there',
      async (at) => {
        await unlink(join(at, 'current'));
        await symlink('generations/7', join(at, 'current'));
      },
    ],
    [
      'a current that is a directory',
      async (at) => {
        await unlink(join(at, 'current'));
        await mkdir(join(at, 'current'));
      },
    ],
    ['no record', (at) => unlink(join(at, 'generations/1/record.json'))],
    [
      'half a record',
      async (at) => {
        await chmod(join(at, 'generations/1/record.json'), 0o600);
        await writeFile(join(at, 'generations/1/record.json'), '{"format":1,"mod');
      },
    ],
    [
      'a record of another',
      async (at) => {
        await chmod(join(at, 'generations/1/record.json'), 0o600);
        await writeFile(
          join(at, 'generations/1/record.json'),
          (await readFile(join(at, 'generations/1/record.json'), 'utf8')).replace('"generation": 1', '"generation": 2'),
        );
      },
    ],
    [
      'a huge record',
      async (at) => {
        await chmod(join(at, 'generations/1/record.json'), 0o600);
        await writeFile(join(at, 'generations/1/record.json'), 'x'.repeat(100_000));
      },
    ],
    ['no active slot', (at) => unlink(join(at, 'generations/1/active'))],
    [
      'an active slot that leads away',
      async (at) => {
        await unlink(join(at, 'generations/1/active'));
        await symlink('/etc', join(at, 'generations/1/active'));
      },
    ],
    [
      'an active slot to other content',
      async (at) => {
        await unlink(join(at, 'generations/1/active'));
        await symlink(`../../../../store/${'0'.repeat(64)}`, join(at, 'generations/1/active'));
      },
    ],
    [
      'a slot that the record has not',
      (at) => symlink(`../../../../store/${'0'.repeat(64)}`, join(at, 'generations/1/fallback')),
    ],
    ['an artifact that is gone', (_at, directory) => rm(directory, { recursive: true })],
    [
      'a manifest with a flipped bit',
      async (_at, directory) => writeFile(join(directory, 'module.yaml'), MANIFEST.replace('1.2.3', '1.0.1')),
    ],
  ];
  it.each(cases)(
    "as %s is told as broken, stands in nobody's way and is repaired by installing again",
    async (_what, damage) => {
      const { store, artifact, digest, directory } = await prepare();
      const other = await readArtifact(
        gzip(
          rawTar(
            (() => {
              const manifest = MANIFEST.replace('probe', 'zeta');
              const files = { 'module.yaml': manifest, 'index.mjs': ENTRY };
              return [
                { path: 'targets.json', content: metadataOf(files, manifest) },
                ...Object.entries(files).map(([path, content]) => ({ path, content })),
              ];
            })(),
          ),
        ),
      );
      await store.install(parseModuleName('zeta'), { digest: await store.put(other), ...BY });
      await damage(join(root, 'modules/probe'), directory);
      const { modules, broken } = await open().list();
      expect(broken).toEqual([{ name: 'probe', reason: expect.stringMatching(/^[A-Z_]+: ./) as unknown }]);
      expect(modules.map(({ name }) => name)).toEqual(['zeta']);
      await store.sweep();
      if (_what === 'a current that is a directory') {
        // Not a thing that an interrupted change makes: an operator has to look, or remove the module.
        expect(await store.remove(NAME)).toBe(true);
      }
      await store.install(NAME, { digest: await store.put(artifact), ...BY });
      expect((await store.list()).broken).toEqual([]);
      expect((await store.load(digest)).digest).toBe(digest);
    },
  );

  it('as something that is not a module is told as broken', async () => {
    const { store } = await prepare();
    await writeFile(join(root, 'modules/README'), 'x');
    await mkdir(join(root, 'modules/Bad Name'));
    await writeFile(join(root, 'modules/file'), 'x');
    const { modules, broken } = await store.list();
    expect(modules).toHaveLength(1);
    expect(broken.map(({ name }) => name)).toEqual(['Bad Name', 'README', 'file']);
  });

  it('never makes the sweep remove a module whose current is lost beside several generations', async () => {
    const { store } = await prepare();
    await store.install(NAME, { digest: await store.put(await artifactOf('2.0.0')), ...BY });
    await rename(join(root, 'modules/probe/current'), join(root, 'lost'));
    expect(await store.sweep()).toEqual([]);
    expect(await readdir(join(root, 'modules/probe/generations'))).toEqual(['1', '2']);
  });
});
