import { describe, expect, it } from 'vitest';
import { describeContent, imageTag, planDirectories } from '../../../../zones/image/layout.plan.ts';

const file = (path: string, sha256 = 'a') => ({ path, mode: 0o644, bytes: 1, sha256 });

describe('the layout of the zone image', () => {
  it('has /tmp with mode 1777 and every parent before its children', () => {
    const directories = planDirectories([file('/usr/bin/node')]);
    expect(directories).toContainEqual({ path: '/tmp', mode: 0o1777 });
    expect(directories.map(({ path }) => path)).toEqual([
      '/dev',
      '/etc',
      '/module',
      '/proc',
      '/run',
      '/run/kerneld',
      '/sys',
      '/tmp',
      '/usr',
      '/usr/bin',
    ]);
  });
  it('is described by content and mode, not by the order of files', () => {
    expect(describeContent([file('/a/b'), file('/a/c')])).toBe(describeContent([file('/a/c'), file('/a/b')]));
    expect(describeContent([file('/a/b')])).not.toBe(describeContent([file('/a/b', 'b')]));
    expect(describeContent([file('/a/b')])).not.toBe(describeContent([{ ...file('/a/b'), mode: 0o755 }]));
  });
  it('is tagged by 16 hex digits', () => {
    expect(imageTag('0123456789abcdef0123')).toBe('kerneld-zone:0123456789abcdef');
  });
});
