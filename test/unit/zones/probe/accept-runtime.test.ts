import { describe, expect, it } from 'vitest';
import { memoryCgroupOf } from '../../../../zones/probe/accept-runtime.ts';

describe('the memory cgroup of a process', () => {
  it('is that of the memory controller in version 1', () => {
    expect(memoryCgroupOf('5:pids:/docker/x\n4:memory:/docker/abc\n0::/unified\n')).toBe('/docker/abc');
    expect(memoryCgroupOf('4:cpu,memory:/docker/abc\n')).toBe('/docker/abc');
  });
  it('is that of the one hierarchy in version 2', () => {
    expect(memoryCgroupOf('0::/system.slice/docker-abc.scope\n')).toBe('/system.slice/docker-abc.scope');
  });
  it('keeps colons of the path', () => {
    expect(memoryCgroupOf('4:memory:/a:b\n')).toBe('/a:b');
  });
  it("is nobody's when there is none", () => {
    expect(memoryCgroupOf('5:pids:/docker/x\n')).toBeNull();
  });
});
