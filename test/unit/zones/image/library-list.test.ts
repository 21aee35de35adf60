import { describe, expect, it } from 'vitest';
import { parseLdd, readLibraries } from '../../../../zones/image/library-list.ts';

describe('parseLdd', () => {
  it('finds libraries and loader, and leaves out the vdso', () => {
    const text =
      '\tlinux-vdso.so.1 (0x00007f43d7131000)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f43d6bfe000)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f43d7133000)\n';
    expect(parseLdd(text)).toEqual(['/lib/x86_64-linux-gnu/libc.so.6', '/lib64/ld-linux-x86-64.so.2']);
  });
  it('gives nothing for a static binary', () => {
    expect(parseLdd('\tstatically linked\n')).toEqual([]);
  });
  it('names a library that is missing', () => {
    expect(() => parseLdd('\tlibatomic.so.1 => not found\n')).toThrow(
      expect.objectContaining({ code: 'IMAGE_UNAVAILABLE', message: expect.stringContaining('libatomic.so.1') }),
    );
  });
});

describe('readLibraries', () => {
  it('finds what this Node needs', async () => {
    const found = await readLibraries(process.execPath, AbortSignal.timeout(5000));
    expect(found.some((path) => path.includes('libc.so'))).toBe(true);
    expect(found.some((path) => path.includes('/ld-'))).toBe(true);
  });
  it('fails with IMAGE_UNAVAILABLE for what is no program', async () => {
    await expect(readLibraries('/nowhere', AbortSignal.timeout(5000))).rejects.toMatchObject({
      code: 'IMAGE_UNAVAILABLE',
    });
  });
});
