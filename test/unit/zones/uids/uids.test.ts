import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import {
  checkUidRange,
  parsePasswd,
  parseSubuid,
  readHostUids,
  reservedUids,
} from '../../../../zones/uids/host-uids.ts';
import { chooseUid } from '../../../../zones/uids/uid-lease.verdict.ts';

const range = { first: 100, last: 103 };

describe('chooseUid', () => {
  it('goes round, so that a freed uid rests longest', () => {
    expect(chooseUid(range, () => false, null)).toEqual({ ok: true, uid: 100 });
    expect(chooseUid(range, () => false, 100)).toEqual({ ok: true, uid: 101 });
    expect(chooseUid(range, () => false, 103)).toEqual({ ok: true, uid: 100 });
    expect(chooseUid(range, (uid) => uid !== 100, 101)).toEqual({ ok: true, uid: 100 });
    expect(chooseUid(range, () => true, null)).toMatchObject({ ok: false });
  });
  it('finds a free uid of the range exactly when there is one', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 95, max: 108 })),
        fc.option(fc.integer({ min: 90, max: 110 })),
        (taken, after) => {
          const choice = chooseUid(range, (uid) => taken.includes(uid), after);
          const free = [100, 101, 102, 103].filter((uid) => !taken.includes(uid));
          expect(choice.ok).toBe(free.length > 0);
          if (choice.ok) expect(free).toContain(choice.uid);
        },
      ),
    );
  });
});

describe('uids of the host', () => {
  const passwd = parsePasswd('root:x:0:0:root:/root:/bin/sh\nada:x:101:101::/home/ada:/bin/sh\n+@nis\n\n');
  const subuid = parseSubuid('ada:90:20\nbroken:x:1\nnone:500:0\n');
  it('are read from accounts and subordinate ranges', () => {
    expect(passwd).toEqual([
      { first: 0, last: 0, by: 'account root' },
      { first: 101, last: 101, by: 'account ada' },
    ]);
    expect(subuid).toEqual([{ first: 90, last: 109, by: 'subordinate ids of ada' }]);
  });
  it('that reach into the range are named with a remedy', () => {
    expect(() => checkUidRange(range, passwd, { usernsRemap: false })).toThrow(
      expect.objectContaining({
        code: 'UID_UNAVAILABLE',
        message: expect.stringContaining('101 (account ada)'),
        remedy: expect.stringContaining('instances.uidRange'),
      }),
    );
    expect(() => checkUidRange(range, subuid, { usernsRemap: false })).toThrow(/90-109 \(subordinate ids of ada\)/);
    expect(() =>
      checkUidRange({ first: 200, last: 300 }, [...passwd, ...subuid], { usernsRemap: false }),
    ).not.toThrow();
    expect(reservedUids(range, passwd)(101)).toBe(true);
    expect(reservedUids(range, passwd)(102)).toBe(false);
  });
  it('do not matter when the engine maps ids, but its map must reach', () => {
    expect(() => checkUidRange(range, passwd, { usernsRemap: true })).not.toThrow();
    expect(() => checkUidRange({ first: 210_000, last: 210_999 }, [], { usernsRemap: true })).toThrow(/userns-remap/);
  });
  it('come from the files, and a missing file claims nothing', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'kerneld-uids-'));
    writeFileSync(join(directory, 'passwd'), 'ada:x:101:101::/:/bin/sh\n');
    expect(await readHostUids({ passwdPath: join(directory, 'passwd'), subuidPath: join(directory, 'none') })).toEqual([
      { first: 101, last: 101, by: 'account ada' },
    ]);
    rmSync(directory, { recursive: true });
    expect((await readHostUids()).length).toBeGreaterThan(0);
  });
});
