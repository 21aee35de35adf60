import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { renderChanges, renderCheck, renderConfig } from '../../../../daemon/cli/render/config.ts';
import { renderDoctor } from '../../../../daemon/cli/render/doctor.ts';
import { renderError } from '../../../../daemon/cli/render/error.ts';
import { renderEvent, renderLogLine } from '../../../../daemon/cli/render/lines.ts';
import { renderInstalled, renderModule, renderModules } from '../../../../daemon/cli/render/module.ts';
import { renderStatus } from '../../../../daemon/cli/render/status.ts';
import type { Style } from '../../../../daemon/cli/render/style.ts';
import { displayWidth } from '../../../../daemon/cli/render/text.ts';
import { renderZoneChange, renderZoneInspect, renderZones } from '../../../../daemon/cli/render/zone.ts';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import { DOCTOR, EVENT, HOSTILE, LOG_LINE, MODULE, STATUS, ZONE } from './answers.ts';

const PLAIN: Style = { color: false, width: 80 };
const issue = {
  file: '/etc/kerneld/kernel.yaml',
  line: 12,
  column: 5,
  path: 'zones.stable.memroy',
  message: 'unknown key',
  expected: 'one of enabled, memory, cpus, maxInstances, image, runtime, seccomp, instance',
  suggestion: 'memory',
};
const changes = [
  { key: 'logs.level', before: 'info', after: 'debug', effect: 'live', applied: true },
  { key: 'zones.sandbox.instance.moduleTmp', before: '16MiB', after: '32MiB', effect: 'instances', applied: false },
  {
    key: 'engine.host',
    before: 'auto',
    after: 'unix:///run/a/path/that/is/quite/long/docker.sock',
    effect: 'restart',
    applied: false,
  },
] as const;

/** All views with awkward content: hostile text, long names, large numbers. */
const views: Record<string, (style: Style) => string[]> = {
  status: (style) => renderStatus(STATUS, style),
  'zone ls': (style) =>
    renderZones(
      [
        {
          name: 'stable',
          state: 'ready',
          reason: HOSTILE,
          instances: 2,
          modules: 1,
          memoryBytes: 512 * 1024 ** 2,
          cpus: 1.5,
        },
      ],
      style,
    ),
  'zone inspect': (style) => renderZoneInspect(ZONE, style),
  'zone stop': (style) => renderZoneChange({ zone: 'sandbox', state: 'stopped', reason: HOSTILE }, style),
  'module ls': (style) =>
    renderModules(
      [{ ...MODULE, name: 'x'.repeat(40), version: '10.20.30-with.a.long.prerelease.and+build', reason: HOSTILE }],
      style,
    ),
  'module show': (style) => renderModule(MODULE, style),
  'module install': (style) =>
    renderInstalled(
      {
        module: 'greeter',
        version: '1.0.0',
        digest: MODULE.slots.active!.digest,
        zone: 'sandbox',
        generation: 1,
        signed: false,
        phase: 'running',
      },
      style,
    ),
  doctor: (style) => renderDoctor(DOCTOR, style),
  event: (style) => renderEvent({ ...EVENT, reason: `${EVENT.reason} ${HOSTILE}` }, style),
  'log line': (style) =>
    renderLogLine(
      { ...LOG_LINE, text: `${HOSTILE} ${'long '.repeat(40)}\n\tat 大大大${'大'.repeat(50)}` },
      style,
      style.width,
    ),
  'config check': (style) => renderCheck({ ok: false, file: issue.file, issues: [issue], changes: [] }, style),
  'config changes': (style) => renderChanges(changes, style),
  'config show': (style) =>
    renderConfig(
      {
        file: '/etc/kerneld/kernel.yaml',
        values: [{ key: 'engine.host', value: 'x'.repeat(90), from: '/etc/kerneld/kernel.yaml:12' }],
      },
      style,
    ),
  error: (style) =>
    renderError(
      new KernelError('MODULE_ERROR', `${HOSTILE} ${'x'.repeat(200)}`, {
        remedy: 'Look at its logs.',
        retryAfterMs: 90_000,
      }),
      style,
    ),
};

describe.each(Object.entries(views))('%s', (_, view) => {
  it('fits 80 columns', () => {
    for (const line of view(PLAIN)) expect(displayWidth(line), line).toBeLessThanOrEqual(80);
  });

  it('holds no control character of others', () => {
    for (const line of view(PLAIN)) expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  });

  it('says the same with colours', () => {
    expect(view({ ...PLAIN, color: true }).map(stripVTControlCharacters)).toEqual(view(PLAIN));
  });

  it('ends no line with a blank', () => {
    for (const line of view(PLAIN)) expect(line).toBe(line.trimEnd());
  });
});

describe('what people see', () => {
  const show = (name: string) => `\n${views[name]!(PLAIN).join('\n')}\n`;

  it('status', () =>
    expect(show('status')).toMatchInlineSnapshot(`
    "
    degraded · kerneld 0.1.0 · pid 4194304 · booted in 812ms · engine unreachable
    reason: the container engine does not answer: connect ECONNREFUSED
            /var/run/docker.sock, trying again since 12s

    ZONE     STATE     INSTANCE        MODULE          STATE           PID  RESTARTS
    stable   ready     i-0123456789ab  greeter         ready          4250         0
                       i-ba9876543210  a-module-with…  connecting  4194303        12
    sandbox  degraded  -
      sandbox: one module is quarantined

    MODULE                        TIER       PHASE        VERSION  ZONE
    greeter                       user       running      1.0.0    stable   unsigned
    a-module-with-a-name-of-for…  essential  quarantined  -        sandbox
      a-module-with-a-name-of-forty-characters: 6 restarts within 60s; the last
        exit was out of memory (\\x1b[2J\\x1b[1;1Hkerneld is
        fine\\x0d\\x9b31m\\u{202e}gnihton\\x07)
    "
  `));
  it('zone inspect', () =>
    expect(show('zone inspect')).toMatchInlineSnapshot(`
      "
      zone      sandbox
      state     ready
      image     kerneld-zone:0123456789abcdef
      runtime   runc
      limits    memory 512MiB, cpus 1.5, instances 8
      in use    memory 117.7MiB, cpus 0.5, instances 1
      instance  memory 64MiB, cpus 0.5, pids 64, nofile 256, tmp 8MiB, moduleTmp 8MiB
      seccomp   sandbox.json, 98 syscalls allowed, sha256 0123456789ab
      probe     1 of 2 refusals held, 2026-11-21 05:24:06Z
        ✖ io_uring_setup: expected ENOSYS, observed allowed (rings run system calls
          past the filter)

      UNIT       STATE    RESTARTS  NEXT START  LAST EXIT
      greeter/0  running         3  -           oom
      looper/0   backoff         5  in 4.2s     unresponsive
        greeter/0 last exit: oom (SIGKILL) at 2026-11-21 05:24:06Z: over 64MiB
        looper/0: did not answer a ping within 2s
        looper/0 last exit: unresponsive (SIGKILL) at 2026-11-21 05:24:06Z

      INSTANCE        MODULE   STATE   PID     UID  CLASS  UPTIME
      i-0123456789ab  greeter  ready  4250  200001  64MiB   1h 2m
        i-0123456789ab: networkMode none, capabilities 0000000000000000,
                        noNewPrivileges true, seccompMode 2, namespaces (net
                        4026532281, pid 4026532280)
      "
    `));
  it('zone ls', () =>
    expect(show('zone ls')).toMatchInlineSnapshot(`
    "
    ZONE    STATE  INSTANCES  MODULES  MEMORY  CPUS
    stable  ready          2        1  512MiB   1.5
      stable: \\x1b[2J\\x1b[1;1Hkerneld is fine\\x0d\\x9b31m\\u{202e}gnihton\\x07
    "
  `));
  it('module ls', () =>
    expect(show('module ls')).toMatchInlineSnapshot(`
    "
    MODULE             VERSION            ZONE    TIER  PHASE    INSTANCES
    xxxxxxxxxxxxxxxx…  10.20.30-with.a.…  stable  user  running          1  unsigned
      xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: \\x1b[2J\\x1b[1;1Hkerneld is
        fine\\x0d\\x9b31m\\u{202e}gnihton\\x07
    "
  `));
  it('module show', () =>
    expect(show('module show')).toMatchInlineSnapshot(`
    "
    module       greeter 1.0.0
    phase        running
    zone         stable
    tier         user
    tenant       local
    signed       no
    installed    2026-11-21 05:24:06Z, generation 3
    active       1.0.0  sha256:0123456789ab…
    fallback     -
    next_stable  -
    config       {"greeting":"\\u001b[2J\\u001b[1;1Hkerneld is
                 fine\\r\\x9b31m\\u{202e}gnihton\\u0007","list":[0,1,2,3,4,5,6,7,8,9,10,
                 11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29]}

    FUNCTION  TIMEOUT  RISK  IDEMPOTENT
    hello          2s  low   yes

    INSTANCE        STATE   PID  RESTARTS
    i-0123456789ab  ready  4250         0
    "
  `));
  it('module install', () =>
    expect(show('module install')).toMatchInlineSnapshot(`
    "
    installed greeter 1.0.0 in sandbox, generation 1, unsigned: running
      sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    "
  `));
  it('doctor', () =>
    expect(show('doctor')).toMatchInlineSnapshot(`
    "
    ✔ engine        20.10.24 at unix:///var/run/docker.sock
    ! live-restore  off: containers end when the engine restarts
        → Set "live-restore": true in /etc/docker/daemon.json and reload the engine,
          or use the private engine.
    ✖ disk          12MiB free below /var/lib/kerneld
        → Free at least 512MiB.

    3 checks, 1 failed, 1 with warnings
    "
  `));
  it('event', () =>
    expect(show('event')).toMatchInlineSnapshot(`
    "
    2026-11-21 05:24:06Z warn     instanceExited sandbox/greeter/i-0123456789ab: the
                                  instance was killed by SIGKILL and will be
                                  replaced in 200ms \\x1b[2J\\x1b[1;1Hkerneld is
                                  fine\\x0d\\x9b31m\\u{202e}gnihton\\x07 (INSTANCE_LOST)
    "
  `));
  it('log line', () =>
    expect(show('log line')).toMatchInlineSnapshot(`
    "
    2026-11-21 05:24:06Z stdout \\x1b[2J\\x1b[1;1Hkerneld is
                                fine\\x0d\\x9b31m\\u{202e}gnihton\\x07 long long long
                                long long long long long long long long long long
                                long long long long long long long long long long
                                long long long long long long long long long long
                                long long long long long long long
                                    at
                                大大大大大大大大大大大大大大大大大大大大大大大大大大
                                大大大大大大大大大大大大大大大大大大大大大大大大大大
                                大
    "
  `));
  it('config check', () =>
    expect(show('config check')).toMatchInlineSnapshot(`
    "
    /etc/kerneld/kernel.yaml:12:5: zones.stable.memroy: unknown key
        expected one of enabled, memory, cpus, maxInstances, image, runtime,
                 seccomp, instance
        did you mean memory

    1 mistake
    "
  `));
  it('config show', () =>
    expect(show('config show')).toMatchInlineSnapshot(`
    "
    file  /etc/kerneld/kernel.yaml

    KEY          VALUE                                                       FROM
    engine.host  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…  line 12
    "
  `));
  it('config changes', () =>
    expect(show('config changes')).toMatchInlineSnapshot(`
    "
    KEY                     BEFORE  AFTER                   EFFECT
    logs.level              info    debug                   applied
    zones.sandbox.instanc…  16MiB   32MiB                   needs instances replaced
    engine.host             auto    unix:///run/a/path/th…  needs a restart
    "
  `));
  it('error', () =>
    expect(show('error')).toMatchInlineSnapshot(`
    "
    kernelctl: \\x1b[2J\\x1b[1;1Hkerneld is fine\\x0d\\x9b31m\\u{202e}gnihton\\x07
               xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
               xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
               xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
               (MODULE_ERROR)
      Look at its logs. Try again in 1m 30s.
    "
  `));
  it('a log line that is not for a terminal stays whole', () => {
    expect(renderLogLine({ ...LOG_LINE, text: 'long '.repeat(40) }, PLAIN, null)).toHaveLength(1);
  });
});
