/** Answers of a kernel, fixed, for looking at how they are shown. */
import type { OperationResult } from '../../../../Kernel/contract/operations/index.ts';
import type {
  InstanceExit,
  KernelEvent,
  LogLine,
  ModuleShow,
  Status,
  ZoneInspect,
} from '../../../../Kernel/contract/operations/shapes.ts';
import type { Digest } from '../../../../Kernel/contract/ids.ts';

const digest = `sha256:${'0123456789abcdef'.repeat(4)}` as Digest;
const slots = { active: { version: '1.0.0', digest }, fallback: null, next_stable: null };
export const HOSTILE = '\u001b[2J\u001b[1;1Hkerneld is fine\r\u009b31m\u202egnihton\u0007';

export const STATUS: Status = {
  mode: 'degraded',
  reason: 'the container engine does not answer: connect ECONNREFUSED /var/run/docker.sock, trying again since 12s',
  version: '0.1.0',
  pid: 4_194_304,
  bootMs: 812.4,
  home: '0123456789ab',
  uptimeMs: 192_000,
  engine: { state: 'unreachable', host: 'unix:///var/run/docker.sock', version: null },
  zones: [
    {
      name: 'stable',
      state: 'ready',
      reason: null,
      instances: [
        { id: 'i-0123456789ab', module: 'greeter', state: 'ready', pid: 4250, restarts: 0 },
        {
          id: 'i-ba9876543210',
          module: 'a-module-with-a-name-of-forty-characters',
          state: 'connecting',
          pid: 4_194_303,
          restarts: 12,
        },
      ],
    },
    { name: 'sandbox', state: 'degraded', reason: 'one module is quarantined', instances: [] },
  ],
  modules: [
    { name: 'greeter', tier: 'user', phase: 'running', reason: null, zone: 'stable', signed: false, slots },
    {
      name: 'a-module-with-a-name-of-forty-characters',
      tier: 'essential',
      phase: 'quarantined',
      zone: 'sandbox',
      signed: true,
      reason: `6 restarts within 60s; the last exit was out of memory (${HOSTILE})`,
      slots: { ...slots, active: null },
    },
  ],
};

const exit: InstanceExit = {
  cause: 'oom',
  exitCode: 137,
  signal: 'SIGKILL',
  oomKilled: true,
  at: '2026-11-21T05:24:06.123Z',
  detail: 'over 64MiB',
};

export const ZONE: ZoneInspect = {
  name: 'sandbox',
  state: 'ready',
  reason: null,
  image: 'kerneld-zone:0123456789abcdef',
  runtime: 'runc',
  limits: {
    memoryBytes: 512 * 1024 ** 2,
    cpus: 1.5,
    maxInstances: 8,
    instance: {
      memoryBytes: 64 * 1024 ** 2,
      cpus: 0.5,
      pids: 64,
      nofile: 256,
      tmpBytes: 8 * 1024 ** 2,
      moduleTmpBytes: 8 * 1024 ** 2,
    },
  },
  used: { memoryBytes: 123_456_789, cpus: 0.5, instances: 1 },
  seccomp: { profile: 'sandbox.json', sha256: digest, allowedSyscalls: 98 },
  probe: {
    zone: 'sandbox',
    passed: false,
    at: '2026-11-21T05:24:06.123Z',
    checks: [
      { name: 'keyctl', expected: 'EPERM', observed: 'EPERM', passed: true, why: 'kernel keyrings are shared' },
      {
        name: 'io_uring_setup',
        expected: 'ENOSYS',
        observed: 'allowed',
        passed: false,
        why: 'rings run system calls past the filter',
      },
    ],
  },
  instances: [
    {
      id: 'i-0123456789ab',
      module: 'greeter',
      state: 'ready',
      pid: 4250,
      restarts: 3,
      container: 'c0ffee',
      uid: 200_001,
      sizeClass: '64MiB',
      memoryBytes: 64 * 1024 ** 2,
      uptimeMs: 3_723_000,
      isolation: {
        networkMode: 'none',
        capabilities: '0000000000000000',
        noNewPrivileges: true,
        seccompMode: 2,
        namespaces: { net: 'net:[4026532281]', pid: 'pid:[4026532280]' },
      },
    },
  ],
  units: [
    { module: 'greeter', index: 0, state: 'running', restarts: 3, reason: null, nextStartInMs: null, lastExit: exit },
    {
      module: 'looper',
      index: 0,
      state: 'backoff',
      restarts: 5,
      reason: 'did not answer a ping within 2s',
      nextStartInMs: 4200,
      lastExit: { ...exit, cause: 'unresponsive', oomKilled: false, detail: '' },
    },
  ],
};

export const MODULE: ModuleShow = {
  name: 'greeter',
  version: '1.0.0',
  zone: 'stable',
  tier: 'user',
  tenant: 'local',
  phase: 'running',
  reason: null,
  signed: false,
  generation: 3,
  slots,
  config: { greeting: HOSTILE, list: Array.from({ length: 30 }, (_, n) => n) },
  functions: [{ name: 'hello', timeoutMs: 2000, risk: 'low', idempotent: true }],
  instances: [{ id: 'i-0123456789ab', module: 'greeter', state: 'ready', pid: 4250, restarts: 0 }],
  installedAt: '2026-11-21T05:24:06.123Z',
};

export const DOCTOR: OperationResult<'kernel.doctor'> = {
  ok: false,
  checks: [
    { name: 'engine', status: 'ok', observed: '20.10.24 at unix:///var/run/docker.sock', remedy: null },
    {
      name: 'live-restore',
      status: 'warning',
      observed: 'off: containers end when the engine restarts',
      remedy: 'Set "live-restore": true in /etc/docker/daemon.json and reload the engine, or use the private engine.',
    },
    { name: 'disk', status: 'failed', observed: '12MiB free below /var/lib/kerneld', remedy: 'Free at least 512MiB.' },
  ],
};

export const EVENT: KernelEvent = {
  seq: 1,
  at: '2026-11-21T05:24:06.123Z',
  kind: 'instanceExited',
  severity: 'warn',
  zone: 'sandbox',
  module: 'greeter',
  instance: 'i-0123456789ab',
  code: 'INSTANCE_LOST',
  reason: 'the instance was killed by SIGKILL and will be replaced in 200ms',
};

export const LOG_LINE: LogLine = {
  at: '2026-11-21T05:24:06.123Z',
  module: 'greeter',
  instance: 'i-0123456789ab',
  stream: 'stdout',
  level: 'info',
  text: 'Hello, Ada\n',
};
