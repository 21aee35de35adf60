import { describe, expect, it } from 'vitest';
import { parseInstanceId } from '../../../../Kernel/contract/ids.ts';
import {
  checkSocketPath,
  chooseConfigFile,
  homePaths,
  instancePaths,
  SOCKET_PATH_MAX_BYTES,
} from '../../../../Kernel/contract/paths.ts';

describe('homePaths', () => {
  it('are those of the system without KERNELD_HOME, and with an empty one', () => {
    for (const env of [{}, { KERNELD_HOME: '', KERNELD_CONFIG: '' }]) {
      expect(homePaths(env)).toMatchObject({
        home: null,
        state: '/var/lib/kerneld',
        operatorSocket: '/run/kerneld/operator.sock',
        homeConfigFile: '/etc/kerneld/kernel.yaml',
        namedConfigFile: null,
      });
    }
  });

  it('all lie below KERNELD_HOME', () => {
    const { namedConfigFile, ...paths } = homePaths({ KERNELD_HOME: '/srv//k/' });
    expect(namedConfigFile).toBeNull();
    for (const path of Object.values(paths)) expect(path).toMatch(/^\/srv\/k(\/|$)/);
  });

  it('refuse what is not absolute', () => {
    for (const env of [{ KERNELD_HOME: 'k' }, { KERNELD_CONFIG: './kernel.yaml' }]) {
      expect(() => homePaths(env)).toThrow(expect.objectContaining({ code: 'STATE_UNUSABLE' }));
    }
  });

  it('keep the record of an instance outside of what its container sees', () => {
    const paths = instancePaths(homePaths({ KERNELD_HOME: '/k' }), parseInstanceId('i-0123456789ab'));
    expect(paths).toEqual({
      directory: '/k/state/instances/i-0123456789ab',
      agentSocket: '/k/state/instances/i-0123456789ab/agent.sock',
      record: '/k/state/records/i-0123456789ab.json',
    });
    expect(paths.record.startsWith(`${paths.directory}/`)).toBe(false);
  });
});

describe('chooseConfigFile', () => {
  it("takes the named one even if it is missing, then the home's if it exists, then the shipped one", () => {
    const none = () => false;
    expect(chooseConfigFile(homePaths({ KERNELD_CONFIG: '/a.yaml' }), none, '/s.yaml')).toBe('/a.yaml');
    expect(chooseConfigFile(homePaths({ KERNELD_HOME: '/k' }), (file) => file === '/k/kernel.yaml', '/s.yaml')).toBe(
      '/k/kernel.yaml',
    );
    expect(chooseConfigFile(homePaths({ KERNELD_HOME: '/k' }), none, '/s.yaml')).toBe('/s.yaml');
  });
});

describe('checkSocketPath', () => {
  it('counts bytes, not characters', () => {
    const longest = `/${'x'.repeat(SOCKET_PATH_MAX_BYTES - 1)}`;
    expect(checkSocketPath(longest)).toBe(longest);
    expect(() => checkSocketPath(`${longest}x`)).toThrow(expect.objectContaining({ code: 'SOCKET_PATH_TOO_LONG' }));
    expect(() => checkSocketPath(`/${'ä'.repeat(54)}`)).toThrow(/109 bytes/);
  });
});
