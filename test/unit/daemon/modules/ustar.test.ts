import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { findPathFault } from '../../../../Kernel/contract/module/artifact-path.ts';
import { readTar, writeTar } from '../../../../daemon/modules/ustar.ts';

const segment = fc.string({ unit: fc.constantFrom(...Array.from('abcXYZ019._+@-')), minLength: 1, maxLength: 60 });
const path = fc
  .array(segment, { minLength: 1, maxLength: 5 })
  .map((segments) => segments.join('/'))
  .filter((text) => findPathFault(text) === null);

it('reads what it writes', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(path, fc.uint8Array({ maxLength: 2000 })), { maxLength: 8 }), (files) => {
      const entries = files.map(([name, content]) => ({ path: name, content }));
      expect(readTar(writeTar(entries)).map((file) => [file.path, [...file.content]])).toEqual(
        files.map(([name, content]) => [name, [...content]]),
      );
    }),
  );
});

it("writes what the system's tar reads", () => {
  const directory = mkdtempSync(join(tmpdir(), 'kerneld-tar-'));
  const long = `${'d'.repeat(90)}/${'e'.repeat(90)}/f.mjs`;
  writeFileSync(
    join(directory, 'a.tar'),
    writeTar([
      { path: 'a/b.txt', content: Buffer.from('hello') },
      { path: long, content: Buffer.alloc(0) },
    ]),
  );
  expect(execFileSync('tar', ['tf', 'a.tar'], { cwd: directory, encoding: 'utf8' })).toBe(`a/b.txt\n${long}\n`);
  execFileSync('tar', ['xf', 'a.tar'], { cwd: directory });
  expect(readFileSync(join(directory, 'a/b.txt'), 'utf8')).toBe('hello');
  rmSync(directory, { recursive: true });
});

it('refuses a path that has no room in a header', () => {
  expect(() => writeTar([{ path: 'x'.repeat(101), content: Buffer.alloc(0) }])).toThrow(/too long/);
});

it('throws nothing but refusals at noise', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => {
      expect(() => readTar(Buffer.from(bytes))).toThrow(expect.objectContaining({ code: 'ARTIFACT_INVALID' }) as Error);
    }),
  );
});
