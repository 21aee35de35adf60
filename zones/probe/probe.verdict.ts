/** What was seen by the probe -> whether the zone isolates. Whatever is missing counts as not refused. */
import type { ZoneName } from '../../Kernel/contract/ids.ts';
import type { ProbeReport } from '../../Kernel/contract/operations/shapes.ts';
import type { Observation } from './observation.schema.ts';
import { planAttempts } from './probe.plan.ts';
import type { Attempt } from './probe.plan.ts';

export type ProbeCheck = ProbeReport['checks'][number];

/** Facts that the probe must find for this container. */
export type ProbeExpectation = { readonly zone: ZoneName; readonly uid: number };

/** `seen` is null when the probe printed nothing that could be read; `failure` says what happened to it then. */
export const judgeProbe = (
  expected: ProbeExpectation,
  seen: Observation | null,
  failure: string,
  at: string,
): ProbeReport => {
  const checks =
    seen === null
      ? [check('probe', 'a report', failure, false, 'without a report nothing is known to be refused')]
      : [...planAttempts(expected.zone).map((attempt) => judgeAttempt(attempt, seen)), ...judgeFacts(expected, seen)];
  return { zone: expected.zone, passed: checks.every((one) => one.passed), checks, at };
};

const check = (name: string, expected: string, observed: string, passed: boolean, why: string): ProbeCheck => ({
  name,
  expected,
  observed: observed.slice(0, 200),
  passed,
  why,
});

const judgeAttempt = (attempt: Attempt, seen: Observation): ProbeCheck => {
  const observed = seen.attempts[attempt.name] ?? 'not tried';
  const refused = observed === 'EPERM' || observed === 'ENOSYS';
  const passed =
    observed === 'absent' ||
    (attempt.expected === 'allowed'
      ? !refused && observed !== 'not tried' && observed !== 'unknown'
      : observed === attempt.expected);
  return check(attempt.name, attempt.expected, observed, passed, attempt.why);
};

const NO_CAPABILITY = '0000000000000000';
const TMPFS_FLAGS = ['rw', 'nosuid', 'nodev', 'noexec'] as const;

const judgeFacts = ({ uid }: ProbeExpectation, seen: Observation): readonly ProbeCheck[] => {
  const equal = (name: string, wanted: string, observed: string | undefined, why: string): ProbeCheck =>
    check(name, wanted, observed ?? 'missing', observed === wanted, why);
  const flags = (point: string, wanted: readonly string[], why: string): ProbeCheck => {
    const options = seen.mounts[point]?.split(',') ?? [];
    return check(
      `mount ${point}`,
      wanted.join(','),
      seen.mounts[point] ?? 'missing',
      wanted.every((flag) => options.includes(flag)),
      why,
    );
  };
  return [
    ...['CapEff', 'CapPrm', 'CapInh', 'CapBnd', 'CapAmb'].map((set) =>
      equal(set, NO_CAPABILITY, seen.status[set], 'no capability at all'),
    ),
    equal('NoNewPrivs', '1', seen.status['NoNewPrivs'], 'no program can raise privileges'),
    equal('Seccomp', '2', seen.status['Seccomp'], 'a filter is in force'),
    equal('uid', String(uid), String(seen.uid), 'each instance has a uid of its own'),
    equal('gid', String(uid), String(seen.gid), 'and a group of its own'),
    check(
      'groups',
      `none but ${uid}`,
      seen.status['Groups'] ?? 'missing',
      ['', String(uid)].includes(seen.status['Groups'] ?? 'missing'),
      'no further groups',
    ),
    equal('pid', '1', String(seen.pid), 'the agent is PID 1 of a namespace of its own'),
    equal('interfaces', 'lo', seen.interfaces.join(','), 'no network but loopback'),
    equal('cgroups', '/', [...new Set(seen.cgroups)].join(','), 'a private cgroup namespace'),
    flags('/', ['ro'], 'the root is read-only'),
    flags('/tmp', TMPFS_FLAGS, 'nothing written can be executed'),
    flags('/module', TMPFS_FLAGS, 'nothing written can be executed'),
    flags('/run/kerneld', ['ro'], 'the socket cannot be replaced'),
    equal('mount /dev/shm', 'none', seen.mounts['/dev/shm'] ?? 'none', 'no shared memory'),
    ...['/written', '/agent/written', '/run/kerneld/written'].map((path) =>
      equal(`write ${path}`, 'EROFS', seen.writes[path], 'only /tmp and /module are writable'),
    ),
    ...['/tmp/written', '/module/written'].map((path) =>
      equal(`write ${path}`, 'ok', seen.writes[path], 'what the module needs'),
    ),
    equal('core', '0', seen.coreLimit, 'no core files'),
  ];
};
