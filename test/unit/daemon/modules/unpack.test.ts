import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import { readArtifact } from '../../../../daemon/modules/unpack.ts';
import {
  ENTRY,
  gzip,
  MANIFEST,
  metadataOf,
  type RawEntry,
  rawHeader,
  rawTar,
  RIGHT_FILES,
  rightEntries,
} from './raw-archive.ts';

const read = (entries: readonly RawEntry[]) => readArtifact(gzip(rawTar(entries)));
const code = async (bytes: Buffer): Promise<string> => {
  try {
    await readArtifact(bytes);
    return 'read';
  } catch (fault) {
    if (!(fault instanceof KernelError)) throw fault;
    return fault.code;
  }
};
const refusal = async (entries: readonly RawEntry[]): Promise<unknown> =>
  read(entries).then(
    () => 'read',
    (fault: unknown) => fault,
  );
const withTargets = (
  change: (targets: {
    signed: { targets: Record<string, unknown>; custom: Record<string, unknown> } & Record<string, unknown>;
  }) => void,
): RawEntry[] => {
  const [metadata, ...rest] = rightEntries();
  const targets = JSON.parse(String(metadata?.content)) as Parameters<typeof change>[0];
  change(targets);
  const sorted = (_: string, value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  return [{ path: 'targets.json', content: JSON.stringify(targets, sorted) }, ...rest];
};

describe('an artifact that is right', () => {
  it('is read with manifest, digest and files', async () => {
    const artifact = await read(rightEntries());
    expect(artifact.manifest).toMatchObject({ name: 'probe', version: '1.2.3' });
    expect(artifact.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect([...artifact.files.keys()]).toEqual(['index.mjs', 'module.yaml']);
    expect(artifact.files.get('index.mjs')?.toString()).toBe(ENTRY);
    expect(artifact.unsigned).toBe(true);
  });

  it('has the digest of its content, not of its packing', async () => {
    const tar = rawTar(rightEntries());
    const [a, b] = await Promise.all([
      readArtifact(gzipSync(tar, { level: 1 })),
      readArtifact(gzipSync(tar, { level: 9 })),
    ]);
    expect(a.digest).toBe(b.digest);
  });
});

describe('an archive with something other than files', () => {
  it.each([
    ['a hard link', '1'],
    ['a symbolic link', '2'],
    ['a character device', '3'],
    ['a block device', '4'],
    ['a directory', '5'],
    ['a FIFO', '6'],
    ['a pax header', 'x'],
    ['a global pax header', 'g'],
    ['a GNU long name', 'L'],
    ['a sparse file', 'S'],
    ['an entry of an unknown kind', 'Z'],
    ['an entry of an unknown kind', '\0'],
  ])('is refused for %s', async (what, type) => {
    expect(await refusal([...rightEntries(), { path: 'x', type, link: '/etc/passwd' }])).toMatchObject({
      code: 'ARTIFACT_INVALID',
      message: expect.stringContaining(what) as unknown,
    });
  });
});

describe('an archive with a name that is unsafe', () => {
  it.each([
    '/etc/passwd',
    '../x',
    'a/../../x',
    'a/..',
    './x',
    'a//b',
    'a/',
    '..',
    '.',
    'a\\b',
    'C:\\x',
    'a b',
    'a\nb',
    'a\u001b[31m',
    'caf\u00e9',
    'cafe\u0301',
    '\u202egpj.sh',
    'ａ',
    'a\u00a0b',
    'con\u200b',
  ])('is refused for %j', async (path) => {
    expect(await refusal([...rightEntries(), { path, content: 'x' }])).toMatchObject({ code: 'ARTIFACT_INVALID' });
  });

  it.each([
    ['index.mjs', 'index.mjs'],
    ['INDEX.mjs', 'index.mjs'],
    ['Targets.json', 'targets.json'],
  ])('is refused for %s beside %s', async (path) => {
    expect(await refusal([...rightEntries(), { path, content: 'x' }])).toMatchObject({
      code: 'ARTIFACT_INVALID',
      message: expect.stringContaining('twice') as unknown,
    });
  });

  it('is refused for .. hidden in the prefix field', async () => {
    expect(await refusal([...rightEntries(), { path: 'x', prefix: '../..', content: 'x' }])).toMatchObject({
      code: 'ARTIFACT_INVALID',
    });
  });

  it('is refused for a file that is also a directory', async () => {
    expect(await refusal(rightEntries({ ...RIGHT_FILES, a: '1', 'a/b': '2' }))).toMatchObject({
      message: 'a file is also a directory',
    });
  });
});

describe('an archive in an unusual form', () => {
  const tamper = (change: (header: Buffer) => void): RawEntry[] =>
    rightEntries().map((entry, index) => (index === 2 ? { ...entry, tamper: change } : entry));

  it.each<[string, (header: Buffer) => void]>([
    ['another mode', (header) => header.write('0004755\0', 100)],
    ['an owner', (header) => header.write('0001000\0', 108)],
    ['a time', (header) => header.write('00000000001\0', 136)],
    ['a link name on a file', (header) => header.write('/etc/passwd', 157)],
    ['bytes behind the name', (header) => header.write('hidden', 60)],
    [
      'a size in base 256',
      (header) => {
        header[124] = 0x80;
      },
    ],
    ['a size with blanks', (header) => header.write('        40 \0', 124)],
    ['GNU magic', (header) => header.write('ustar  \0', 257)],
    ['device numbers', (header) => header.write('0000001\0', 329)],
  ])('is refused for %s', async (_what, change) => {
    expect(await refusal(tamper(change))).toMatchObject({ code: 'ARTIFACT_INVALID' });
  });

  it('is refused for a wrong checksum, a cut, a tail, hidden padding or no end', async () => {
    const tar = rawTar(rightEntries());
    const checksum = Buffer.from(tar);
    checksum[148] = 0x31;
    const padding = Buffer.from(tar);
    padding[tar.length - 1025] = 1;
    const long = Buffer.concat([rawHeader({ path: 'x', content: 'y'.repeat(5000) }), Buffer.alloc(1024)]);
    for (const bad of [
      checksum,
      padding,
      long,
      tar.subarray(0, -1),
      tar.subarray(0, -512),
      tar.subarray(0, -1024),
      Buffer.concat([tar, Buffer.alloc(512)]),
      Buffer.concat([tar, tar]),
      Buffer.alloc(0),
    ]) {
      expect(await code(gzip(bad))).toBe('ARTIFACT_INVALID');
    }
  });

  it('is refused for what is not gzip, a half, a tail or a second member', async () => {
    const right = gzip(rawTar(rightEntries()));
    for (const bad of [
      Buffer.alloc(0),
      Buffer.from('PK\u0003\u0004'),
      rawTar(rightEntries()),
      right.subarray(0, -1),
      Buffer.concat([right, Buffer.from('tail')]),
    ]) {
      expect(await code(bad)).toBe('ARTIFACT_INVALID');
    }
    expect(await code(Buffer.concat([right, right]))).toBe('ARTIFACT_INVALID');
  });
});

describe('an archive over a limit', () => {
  it('is refused when compressed it has more than 16MiB', async () => {
    expect(await code(Buffer.alloc(16 * 1024 * 1024 + 1))).toBe('ARTIFACT_INVALID');
  });

  it('is refused as soon as it unpacks to more than 64MiB', async () => {
    const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024), { level: 1 });
    const before = process.memoryUsage().arrayBuffers;
    await expect(readArtifact(bomb)).rejects.toMatchObject({ message: 'the artifact unpacks to more than 64MiB' });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(150 * 1024 * 1024);
  });

  it('is refused for more than 1000 files', async () => {
    const files = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`f${index}`, 'x']));
    expect(await refusal(rightEntries({ ...RIGHT_FILES, ...files }))).toMatchObject({
      code: 'ARTIFACT_INVALID',
      message: 'the archive holds more than 1000 files',
    });
  });

  it('is refused for a path over 200 bytes', async () => {
    expect(
      await refusal([
        ...rightEntries(),
        { path: 'x'.repeat(99), prefix: `${'y'.repeat(70)}/${'z'.repeat(70)}`, content: '' },
      ]),
    ).toMatchObject({ code: 'ARTIFACT_INVALID' });
  });
});

describe('metadata and content that disagree', () => {
  it.each<[string, RawEntry[], string]>([
    ['a file that is not named', [...rightEntries(), { path: 'extra.mjs', content: 'x' }], 'ARTIFACT_INVALID'],
    ['a named file that is not there', rightEntries().filter(({ path }) => path !== 'index.mjs'), 'ARTIFACT_INVALID'],
    ['no metadata', rightEntries().slice(1), 'ARTIFACT_INVALID'],
    [
      'no manifest',
      [
        { path: 'targets.json', content: metadataOf({ 'index.mjs': ENTRY }) },
        { path: 'index.mjs', content: ENTRY },
      ],
      'ARTIFACT_INVALID',
    ],
    ['no entry', rightEntries({ 'module.yaml': MANIFEST }), 'ARTIFACT_INVALID'],
    [
      'another length',
      rightEntries().map((entry) => (entry.path === 'index.mjs' ? { ...entry, content: `${ENTRY} ` } : entry)),
      'DIGEST_MISMATCH',
    ],
    [
      'another content',
      rightEntries().map((entry) =>
        entry.path === 'index.mjs' ? { ...entry, content: ENTRY.replace('hello', 'hallo') } : entry,
      ),
      'DIGEST_MISMATCH',
    ],
    ['a broken manifest', rightEntries({ ...RIGHT_FILES, 'module.yaml': 'name: 1' }), 'MODULE_INVALID'],
    [
      'another tenant',
      withTargets(({ signed }) => {
        signed.custom['tenant'] = 'other';
      }),
      'ARTIFACT_INVALID',
    ],
    [
      'another version',
      withTargets(({ signed }) => {
        signed.custom['version'] = '9.9.9';
      }),
      'ARTIFACT_INVALID',
    ],
    [
      'another security version',
      withTargets(({ signed }) => {
        signed.custom['securityVersion'] = 5;
      }),
      'ARTIFACT_INVALID',
    ],
    [
      'a target of another module',
      withTargets(({ signed }) => {
        signed.targets['default/greeter/x.mjs'] = { hashes: { sha256: '0'.repeat(64) }, length: 0 };
      }),
      'ARTIFACT_INVALID',
    ],
    [
      'a target with ..',
      withTargets(({ signed }) => {
        signed.targets['default/probe/../x'] = { hashes: { sha256: '0'.repeat(64) }, length: 0 };
      }),
      'ARTIFACT_INVALID',
    ],
    [
      'metadata of another kind',
      withTargets(({ signed }) => {
        signed['_type'] = 'root';
      }),
      'ARTIFACT_INVALID',
    ],
    [
      'metadata with more members',
      withTargets(({ signed }) => {
        signed['extra'] = 1;
      }),
      'ARTIFACT_INVALID',
    ],
    [
      'metadata that is not JSON',
      [{ path: 'targets.json', content: '{' }, ...rightEntries().slice(1)],
      'ARTIFACT_INVALID',
    ],
    [
      'metadata with white space',
      rightEntries().map((entry) =>
        entry.path === 'targets.json' ? { ...entry, content: `${String(entry.content)}\n` } : entry,
      ),
      'ARTIFACT_INVALID',
    ],
    [
      'metadata with a member twice',
      rightEntries().map((entry) =>
        entry.path === 'targets.json'
          ? { ...entry, content: String(entry.content).replace('"version":1}', '"version":1,"version":1}') }
          : entry,
      ),
      'ARTIFACT_INVALID',
    ],
    [
      'metadata that sets a prototype',
      rightEntries().map((entry) =>
        entry.path === 'targets.json'
          ? { ...entry, content: String(entry.content).replace('"targets":{', '"targets":{"__proto__":{},') }
          : entry,
      ),
      'ARTIFACT_INVALID',
    ],
  ])('are refused: %s', async (_what, entries, expected) => {
    expect(await code(gzip(rawTar(entries)))).toBe(expected);
  });

  it('name the file', async () => {
    await expect(
      read(rightEntries().map((entry) => (entry.path === 'index.mjs' ? { ...entry, content: 'x' } : entry))),
    ).rejects.toMatchObject({
      context: { file: 'index.mjs' },
    });
  });
});

describe('noise', () => {
  const right = rawTar(rightEntries());

  it('of one flipped bit anywhere is refused, or changes the digest', async () => {
    // Every bit counts: headers are compared whole, contents are hashed, padding must be zero. Nothing but the
    // digest (and later a signature) covers the metadata itself, as its date of expiry.
    const { digest } = await readArtifact(gzip(right));
    for (let at = 0; at < right.length; at += 1) {
      const bad = Buffer.from(right);
      bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
      const outcome = await readArtifact(gzipSync(bad, { level: 0 })).then(
        (artifact) => artifact.digest,
        (fault: unknown) => (fault instanceof KernelError ? 'refused' : fault),
      );
      expect(outcome, `byte ${at}`).not.toBe(digest);
      if (outcome !== 'refused') expect(outcome).toMatch(/^sha256:/);
      if (at > 512 + 1024) expect(outcome, `byte ${at}`).toBe('refused');
    }
  });

  it('of flipped bytes in the compressed form yields the same artifact or a refusal', async () => {
    const packed = gzip(right);
    const { digest } = await readArtifact(packed);
    for (let at = 0; at < packed.length; at += 1) {
      const bad = Buffer.from(packed);
      bad[at] = (bad[at] ?? 0) ^ 0x55;
      const outcome = await readArtifact(bad).then(
        (artifact) => artifact.digest,
        (fault: unknown) => (fault instanceof KernelError ? 'refused' : fault),
      );
      expect([digest, 'refused'], `byte ${at}`).toContain(outcome);
    }
  });

  it('of random archives never makes another fault than a refusal', async () => {
    const entry = fc.record({
      path: fc.constantFrom('targets.json', 'module.yaml', 'index.mjs', 'a/b', '../x', '/x', ''),
      content: fc.oneof(fc.constantFrom(MANIFEST, ENTRY, metadataOf(RIGHT_FILES), '{}', ''), fc.string()),
      type: fc.constantFrom('0', '0', '0', '1', '2', '5', '\0'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 5 }), async (entries) => {
        expect(['read', 'ARTIFACT_INVALID', 'DIGEST_MISMATCH', 'MODULE_INVALID']).toContain(
          await code(gzip(rawTar(entries))),
        );
      }),
      { numRuns: 300 },
    );
  });
});
