import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../../../Kernel/contract/units.ts';

describe('sizes', () => {
  it.each([
    ['0B', 0],
    ['1B', 1],
    ['1KiB', 1024],
    ['256MiB', 268_435_456],
    ['1.5GiB', 1_610_612_736],
    ['2TiB', 2_199_023_255_552],
    [' 1MiB ', 1_048_576],
  ])('%j is %d bytes', (text, bytes) => expect(parseSize(text)).toEqual({ ok: true, value: bytes }));

  it.each([
    '',
    '256',
    '256MB',
    '256mib',
    '256M',
    '-1MiB',
    '1 MiB',
    '1e3MiB',
    '0x10B',
    'MiB',
    '1.B',
    '.5MiB',
    '1MiB1',
    '1ms',
    '0.5B',
    '99999999TiB',
    '٣MiB',
  ])('%j is refused with what was expected', (text) =>
    expect(parseSize(text)).toEqual({ ok: false, reason: expect.stringContaining('256MiB') as string }),
  );

  it('reads back what it writes', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (bytes) => {
        expect(parseSize(formatSize(bytes))).toEqual({ ok: true, value: bytes });
      }),
    );
  });

  it('writes the largest unit that loses nothing', () => {
    expect([0, 1, 1023, 1024, 1025, 268_435_456, 1024 ** 4].map(formatSize)).toEqual([
      '0B',
      '1B',
      '1023B',
      '1KiB',
      '1025B',
      '256MiB',
      '1TiB',
    ]);
  });
});

describe('times', () => {
  it.each([
    ['0ms', 0],
    ['1500ms', 1500],
    ['1.5s', 1500],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
  ])('%j is %d milliseconds', (text, ms) => expect(parseDuration(text)).toEqual({ ok: true, value: ms }));

  it.each(['', '5', '5sec', '5S', '-5s', '5 s', '0.5ms', '1MiB', '1s500ms', '99999999999999d'])(
    '%j is refused with what was expected',
    (text) => expect(parseDuration(text)).toEqual({ ok: false, reason: expect.stringContaining('1500ms') as string }),
  );

  it('reads back what it writes', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (ms) => {
        expect(parseDuration(formatDuration(ms))).toEqual({ ok: true, value: ms });
      }),
    );
  });

  it('writes the largest unit that loses nothing', () => {
    expect([0, 999, 1000, 90_000, 120_000, 86_400_000].map(formatDuration)).toEqual([
      '0ms',
      '999ms',
      '1s',
      '90s',
      '2m',
      '1d',
    ]);
  });
});
