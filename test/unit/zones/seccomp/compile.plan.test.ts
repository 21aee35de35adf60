import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { ZONE_NAMES } from '../../../../Kernel/contract/ids.ts';
import { planAttempts } from '../../../../zones/probe/probe.plan.ts';
import { syscallNumber } from '../../../../zones/probe/syscall-numbers.ts';
import { ALLOWLISTS } from '../../../../zones/seccomp/allowlists.ts';
import { compileProfile, countAllowed, formatProfile } from '../../../../zones/seccomp/compile.plan.ts';
import { DENY_TABLE, NAMESPACE_FLAGS } from '../../../../zones/seccomp/deny-table.ts';
import type { AllowRow, ArgumentTest, SeccompProfile } from '../../../../zones/seccomp/profile.types.ts';

/** A dumb model of the filter: allowed if any allowance fits; else the errno of its own denial; else EPERM. */
const ask = (profile: SeccompProfile, name: string, args: readonly bigint[]): 'allowed' | 'EPERM' | 'ENOSYS' => {
  const rules = profile.syscalls.filter((rule) => rule.names.includes(name));
  const fits = ({ index, op, value, valueTwo }: ArgumentTest): boolean => {
    const argument = BigInt.asUintN(64, args[index] ?? 0n);
    return op === 'SCMP_CMP_EQ' ? argument === BigInt(value) : (argument & BigInt(value)) === BigInt(valueTwo ?? 0);
  };
  if (rules.some((rule) => rule.action === 'SCMP_ACT_ALLOW' && (rule.args ?? []).every(fits))) return 'allowed';
  return rules.find((rule) => rule.action === 'SCMP_ACT_ERRNO')?.errnoRet === 38 ? 'ENOSYS' : 'EPERM';
};

const committed = (zone: string): string =>
  readFileSync(new URL(`../../../../config/seccomp/${zone}.json`, import.meta.url), 'utf8');

describe.each(ZONE_NAMES)('the profile of %s', (zone) => {
  const profile = JSON.parse(committed(zone)) as SeccompProfile;

  it('is what the tables compile to (node zones/seccomp/write-profiles.ts)', () => {
    expect(committed(zone)).toBe(formatProfile(compileProfile(ALLOWLISTS[zone], DENY_TABLE)));
  });

  it.each(['x64', 'arm64'] as const)('decides every attempt of the probe as expected on %s', (arch) => {
    const tried = planAttempts(zone).filter((attempt) => syscallNumber(attempt.syscall, arch) !== null);
    expect(tried.length).toBeGreaterThan(110);
    for (const attempt of tried) {
      expect(syscallNumber(attempt.syscall, arch), attempt.name).toBeTypeOf('number');
      const args = attempt.args.map((argument) => (typeof argument === 'number' ? BigInt(argument) : 3n));
      expect([attempt.name, ask(profile, attempt.syscall, args)]).toEqual([attempt.name, attempt.expected]);
    }
  });

  it('allows no syscall of the deny table and lists each as denied', () => {
    for (const { syscall, errno } of DENY_TABLE.never) {
      expect([syscall, ask(profile, syscall, [0n, 0n, 0n, 0n, 0n, 0n])]).toEqual([syscall, errno]);
      expect(
        profile.syscalls.some((rule) => rule.action === 'SCMP_ACT_ERRNO' && rule.names.includes(syscall)),
        syscall,
      ).toBe(true);
    }
  });

  it('refuses clone with any namespace flag, whatever the other flags', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), (flags) => {
        const namespaced = (flags & NAMESPACE_FLAGS) >>> 0 !== 0;
        if (namespaced) expect(ask(profile, 'clone', [BigInt(flags)])).toBe('EPERM');
      }),
    );
  });

  it('refuses families and socket types hidden in the upper half of an argument', () => {
    expect(ask(profile, 'socket', [1n])).toBe('allowed');
    expect(ask(profile, 'socket', [0x1_0000_0001n])).toBe('EPERM');
    expect(ask(profile, 'socket', [2n])).toBe('EPERM');
  });

  it('ends 32-bit and x32 calls: no sub-architecture', () => {
    expect(profile.archMap.flatMap((arch) => arch.subArchitectures)).toEqual([]);
  });

  it('allows about a hundred syscalls', () => {
    expect(countAllowed(profile)).toBeLessThanOrEqual(140);
  });
});

describe('clone in sandbox', () => {
  const profile = compileProfile(ALLOWLISTS.sandbox, DENY_TABLE);
  it('makes threads as libc and Go do, and no processes', () => {
    expect(ask(profile, 'clone', [0x3d0f00n])).toBe('allowed'); // pthread_create of glibc
    expect(ask(profile, 'clone', [0x50f00n])).toBe('allowed'); // newosproc of Go (runc)
    expect(ask(profile, 'clone', [0x1200011n])).toBe('EPERM'); // fork of glibc
    expect(ask(profile, 'clone', [0x4111n])).toBe('EPERM'); // vfork of posix_spawn
  });
});

describe('compileProfile', () => {
  const allow = (...rows: AllowRow[]): SeccompProfile => compileProfile(rows, DENY_TABLE);

  it('lets the deny table win over an allowlist that names what it denies', () => {
    const profile = allow({ names: ['read', 'clone3', 'bpf', 'io_uring_setup'], why: 'a careless trace' });
    expect(ask(profile, 'read', [])).toBe('allowed');
    expect(ask(profile, 'clone3', [])).toBe('ENOSYS');
    expect(ask(profile, 'io_uring_setup', [])).toBe('ENOSYS');
    expect(ask(profile, 'bpf', [])).toBe('EPERM');
  });

  it('narrows an allowance that has no test, or another, to what the deny table leaves', () => {
    const bare = allow({ names: ['socket', 'clone'], why: 'a careless trace' });
    expect(ask(bare, 'socket', [2n])).toBe('EPERM');
    expect(ask(bare, 'clone', [BigInt(NAMESPACE_FLAGS)])).toBe('EPERM');
    expect(ask(bare, 'clone', [17n])).toBe('allowed');
    const other = allow({ names: ['socket'], args: [{ index: 1, op: 'SCMP_CMP_EQ', value: 1 }], why: 'streams' });
    expect(ask(other, 'socket', [1n, 1n])).toBe('allowed');
    expect(ask(other, 'socket', [1n, 2n])).toBe('EPERM');
    expect(ask(other, 'socket', [2n, 1n])).toBe('EPERM');
  });

  it('drops an allowance that contradicts the deny table', () => {
    const profile = allow({ names: ['socket'], args: [{ index: 0, op: 'SCMP_CMP_EQ', value: 2 }], why: 'a mistake' });
    expect(profile.syscalls.some((rule) => rule.action === 'SCMP_ACT_ALLOW')).toBe(false);
  });

  it('never allows what the deny table denies, for any allowlist', () => {
    const names = [...DENY_TABLE.never.map((row) => row.syscall), ...DENY_TABLE.only.map((row) => row.syscall), 'read'];
    const test = fc.oneof(
      fc.record({ index: fc.nat(2), op: fc.constant('SCMP_CMP_EQ' as const), value: fc.nat(50) }),
      fc.record({
        index: fc.nat(2),
        op: fc.constant('SCMP_CMP_MASKED_EQ' as const),
        value: fc.integer({ min: 0, max: 0xffffffff }),
        valueTwo: fc.constant(0),
      }),
    );
    const row = fc.record({
      names: fc.subarray(names, { minLength: 1 }),
      args: fc.array(test, { maxLength: 1 }),
      why: fc.constant(''),
    });
    fc.assert(
      fc.property(fc.array(row, { maxLength: 6 }), fc.integer({ min: 0, max: 0xffffffff }), (rows, argument) => {
        const profile = compileProfile(rows, DENY_TABLE);
        for (const denied of DENY_TABLE.never)
          expect(ask(profile, denied.syscall, [BigInt(argument)])).toBe(denied.errno);
        if (argument !== 1) expect(ask(profile, 'socket', [BigInt(argument)])).toBe('EPERM');
        if ((argument & NAMESPACE_FLAGS) >>> 0 !== 0) expect(ask(profile, 'clone', [BigInt(argument)])).toBe('EPERM');
      }),
    );
  });
});
