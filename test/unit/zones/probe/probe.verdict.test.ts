import { describe, expect, it } from 'vitest';
import { ZONE_NAMES } from '../../../../Kernel/contract/ids.ts';
import type { ZoneName } from '../../../../Kernel/contract/ids.ts';
import type { Observation } from '../../../../zones/probe/observation.schema.ts';
import { planAttempts } from '../../../../zones/probe/probe.plan.ts';
import { judgeProbe } from '../../../../zones/probe/probe.verdict.ts';
import { parseObservation } from '../../../../zones/probe/run-probe.ts';
import { SYSCALL_NUMBERS } from '../../../../zones/probe/syscall-numbers.ts';
import { DENY_TABLE } from '../../../../zones/seccomp/deny-table.ts';
import { ZONE_DIFFERENCES } from '../../../../zones/seccomp/zone-differences.ts';

const none = '0000000000000000';
const good = (zone: ZoneName): Observation => ({
  attempts: Object.fromEntries(
    planAttempts(zone).map(({ name, expected }) => [name, expected === 'allowed' ? 'EFAULT' : expected]),
  ),
  uid: 210_000,
  gid: 210_000,
  pid: 1,
  status: {
    CapEff: none,
    CapPrm: none,
    CapInh: none,
    CapBnd: none,
    CapAmb: none,
    NoNewPrivs: '1',
    Seccomp: '2',
    Groups: '',
  },
  interfaces: ['lo'],
  mounts: {
    '/': 'ro,relatime',
    '/tmp': 'rw,nosuid,nodev,noexec,relatime',
    '/module': 'rw,nosuid,nodev,noexec,relatime',
    '/run/kerneld': 'ro,relatime',
  },
  cgroups: ['/', '/'],
  writes: {
    '/written': 'EROFS',
    '/agent/written': 'EROFS',
    '/run/kerneld/written': 'EROFS',
    '/tmp/written': 'ok',
    '/module/written': 'ok',
  },
  coreLimit: '0',
});
const judge = (zone: ZoneName, seen: Observation | null) =>
  judgeProbe({ zone, uid: 210_000 }, seen, 'ended with 1', '2026-01-01T00:00:00Z');

describe.each(ZONE_NAMES)('the verdict on %s', (zone) => {
  it('is passed when everything is as it must be', () => {
    expect(judge(zone, good(zone)).checks.filter((check) => !check.passed)).toEqual([]);
    expect(judge(zone, good(zone)).passed).toBe(true);
  });

  it('is not passed when any single attempt comes out otherwise, or is left out', () => {
    for (const { name, expected } of planAttempts(zone)) {
      const wrong = expected === 'allowed' ? 'EPERM' : 'ok';
      const seen = good(zone);
      expect(judge(zone, { ...seen, attempts: { ...seen.attempts, [name]: wrong } }).passed, name).toBe(false);
      const { [name]: _left, ...rest } = seen.attempts;
      expect(judge(zone, { ...seen, attempts: rest }).passed, name).toBe(false);
    }
  });

  it('is not passed when any single fact comes out otherwise', () => {
    const seen = good(zone);
    const bad: Partial<Observation>[] = [
      { uid: 0 },
      { gid: 0 },
      { pid: 2 },
      { interfaces: ['lo', 'eth0'] },
      { interfaces: [] },
      { cgroups: ['/docker/x'] },
      { coreLimit: 'unlimited' },
      ...Object.keys(seen.status).map((key) => ({ status: { ...seen.status, [key]: '1f' } })),
      ...Object.keys(seen.mounts).map((point) => ({ mounts: { ...seen.mounts, [point]: 'exec' } })),
      { mounts: { ...seen.mounts, '/dev/shm': 'rw' } },
      ...Object.keys(seen.writes).map((path) => ({
        writes: { ...seen.writes, [path]: seen.writes[path] === 'ok' ? 'EACCES' : 'ok' },
      })),
    ];
    for (const change of bad) expect(judge(zone, { ...seen, ...change }).passed, JSON.stringify(change)).toBe(false);
  });

  it('is not passed without a report', () => {
    expect(judge(zone, null)).toMatchObject({ passed: false, checks: [{ name: 'probe', observed: 'ended with 1' }] });
  });
});

describe('the plan of the probe', () => {
  it('tries every row of the deny table and every named difference, under unique names and known numbers', () => {
    for (const zone of ZONE_NAMES) {
      const attempts = planAttempts(zone);
      const names = attempts.map(({ name }) => name);
      expect(new Set(names).size).toBe(names.length);
      for (const row of [...DENY_TABLE.never, ...DENY_TABLE.only])
        expect(
          attempts.some(({ syscall }) => syscall === row.syscall),
          row.syscall,
        ).toBe(true);
      for (const { name } of ZONE_DIFFERENCES)
        expect(
          names.some((one) => one.startsWith(`${name}: `)),
          name,
        ).toBe(true);
      for (const { syscall } of attempts) expect(SYSCALL_NUMBERS, syscall).toHaveProperty(syscall);
    }
  });
});

describe('parseObservation', () => {
  it('reads the line of the probe among others, and nothing else', () => {
    expect(parseObservation(`(node:1) Warning\nkerneld-probe:${JSON.stringify(good('stable'))}\n`)).toEqual(
      good('stable'),
    );
    for (const output of [
      '',
      'kerneld-probe:',
      'kerneld-probe:{"half":',
      'kerneld-probe:{}',
      JSON.stringify(good('stable')),
    ])
      expect(parseObservation(output)).toBeNull();
  });
});
