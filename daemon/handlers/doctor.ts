/** `doctor`: looks at everything a kernel stands on and says what to do about what is amiss. Changes nothing. */
import { statfs } from 'node:fs/promises';
import si from 'systeminformation';
import { toKernelError } from '../../Kernel/contract/errors.ts';
import { SOCKET_PATH_MAX_BYTES, type HomePaths } from '../../Kernel/contract/paths.ts';
import type { ZoneName } from '../../Kernel/contract/ids.ts';
import type { OperationResult } from '../../Kernel/contract/operations/index.ts';
import type { Clock, EnginePort } from '../../Kernel/contract/ports.ts';
import { formatSize } from '../../Kernel/contract/units.ts';
import type { Supervisor } from '../../zones/supervisor/supervisor.ts';

type Check = OperationResult<'kernel.doctor'>['checks'][number];

const LOW_DISK_BYTES = 512 * 1024 * 1024;
const LOW_MEMORY_BYTES = 256 * 1024 * 1024;
/** Wall clocks before this program was written are wrong. */
const EARLIEST_WALL_MS = Date.UTC(2026, 0, 1);
const MIB = 1024 * 1024;
/** An engine that hangs must not keep whoever asks what is wrong waiting. */
const ENGINE_LIMIT_MS = 5_000;

const ok = (name: string, observed: string): Check => ({ name, status: 'ok', observed, remedy: null });
const warning = (name: string, observed: string, remedy: string): Check => ({
  name,
  status: 'warning',
  observed,
  remedy,
});
const failed = (name: string, observed: string, remedy: string): Check => ({
  name,
  status: 'failed',
  observed,
  remedy,
});
const mebibytes = (bytes: number): string => formatSize(Math.floor(bytes / MIB) * MIB);

export type DoctorPorts = {
  readonly engine: EnginePort;
  readonly engineHost: string;
  readonly paths: HomePaths;
  readonly supervisor: Supervisor;
  readonly clock: Clock;
  readonly brokenModules: () => readonly { readonly name: string; readonly reason: string }[];
  readonly uidConflicts: () => Promise<readonly string[]>;
  readonly zoneEnabled: (zone: ZoneName) => boolean;
};

/** Why a zone that kernel.yaml disables does not run. */
export const DISABLED = 'disabled in kernel.yaml';

const engineRemedy = (thrown: unknown, hangs: boolean): string => {
  if (hangs)
    return 'The engine runs but hangs: look at its log, then start it again. With live-restore its instances go on.';
  const { cause } = toKernelError(thrown);
  if ((cause as NodeJS.ErrnoException | undefined)?.code === 'EACCES') {
    return 'Add the user that runs the kernel to the group that owns the socket of the engine; that group equals root.';
  }
  return 'scripts/engine start brings up an engine; DOCKER_HOST names another.';
};

const checkEngine = async ({ engine, engineHost }: DoctorPorts, signal: AbortSignal): Promise<Check[]> => {
  const limit = AbortSignal.timeout(ENGINE_LIMIT_MS);
  try {
    const facts = await engine.facts(AbortSignal.any([signal, limit]));
    return [
      ok('engine', `${facts.version} (API ${facts.apiVersion}) at ${engineHost}`),
      facts.seccomp
        ? ok('seccomp', 'the engine applies profiles')
        : failed(
            'seccomp',
            'the engine has no seccomp support',
            'Use an engine and a system kernel built with seccomp.',
          ),
      facts.memoryLimit && facts.pidsLimit
        ? ok('cgroup', `version ${facts.cgroupVersion}, memory and pids limits work`)
        : failed(
            'cgroup',
            `version ${facts.cgroupVersion}, memory limit ${facts.memoryLimit}, pids limit ${facts.pidsLimit}`,
            'Enable the memory and pids controllers of the system.',
          ),
      facts.liveRestore
        ? ok('live-restore', 'on: instances outlive a restart of the engine')
        : warning(
            'live-restore',
            'off: a restart of the engine ends every instance',
            'Set "live-restore": true in /etc/docker/daemon.json and reload the engine.',
          ),
    ];
  } catch (thrown) {
    const observed = limit.aborted
      ? `no answer within ${ENGINE_LIMIT_MS} ms at ${engineHost}`
      : toKernelError(thrown).message;
    return [failed('engine', observed, engineRemedy(thrown, limit.aborted))];
  }
};

export const checkZones = ({ supervisor, zoneEnabled }: Pick<DoctorPorts, 'supervisor' | 'zoneEnabled'>): Check[] =>
  [...supervisor.zones.values()].map((zone) => {
    const name = `zone ${zone.zone}`;
    const probe = zone.probe();
    const state = zone.state();
    if (state.kind === 'stopped' && !zoneEnabled(zone.zone)) return ok(name, DISABLED);
    const held =
      probe === null
        ? 'no probe yet'
        : `${probe.checks.filter(({ passed }) => passed).length} of ${probe.checks.length} refusals held`;
    if (probe !== null && !probe.passed)
      return failed(name, held, `kernelctl zone inspect ${zone.zone} names what was not refused.`);
    if (state.kind === 'failed')
      return failed(name, `${state.code}: ${state.reason}`, state.remedy ?? `kernelctl zone restart ${zone.zone}`);
    if (state.kind === 'ready') return ok(name, `ready, ${held}, image ${zone.blueprint()?.image ?? 'none'}`);
    return warning(name, `${state.kind}, ${held}`, `kernelctl zone inspect ${zone.zone}`);
  });

const checkDisk = async ({ paths }: DoctorPorts): Promise<Check[]> => {
  const { bavail, bsize, ffree } = await statfs(paths.state);
  const freeBytes = bavail * bsize;
  if (freeBytes < LOW_DISK_BYTES)
    return [failed('disk', `${mebibytes(freeBytes)} free at ${paths.state}`, 'Free space; state changes need it.')];
  if (ffree === 0)
    return [failed('disk', `no inodes free at ${paths.state}`, 'Remove files; state changes need inodes.')];
  return [ok('disk', `${mebibytes(freeBytes)} free at ${paths.state}`)];
};

const checkMemory = async (): Promise<Check> => {
  const { available, total } = await si.mem();
  const observed = `${mebibytes(available)} of ${mebibytes(total)} available`;
  return available < LOW_MEMORY_BYTES
    ? warning('memory', observed, 'Stop something, or make the pool smaller.')
    : ok('memory', observed);
};

const checkSockets = ({ paths }: DoctorPorts): Check => {
  const longest = `${paths.instancesDir}/i-000000000000/agent.sock`;
  const bytes = Math.max(Buffer.byteLength(longest), Buffer.byteLength(paths.operatorSocket));
  const observed = `the longest socket path has ${bytes} of ${SOCKET_PATH_MAX_BYTES} bytes`;
  return bytes > SOCKET_PATH_MAX_BYTES
    ? failed('sockets', observed, 'Set KERNELD_HOME to a shorter path.')
    : ok('sockets', observed);
};

const checkClock = ({ clock }: DoctorPorts): Check => {
  const now = clock.wallMs();
  const observed = new Date(now).toISOString();
  return now < EARLIEST_WALL_MS
    ? failed('clock', observed, 'Set the system clock: records and expiry depend on it.')
    : ok('clock', observed);
};

const checkUids = async (ports: DoctorPorts): Promise<Check> => {
  const conflicts = await ports.uidConflicts();
  return conflicts.length === 0
    ? ok('uids', 'nobody else uses the range of instances')
    : failed('uids', conflicts.join('; '), 'Choose another instances.uidRange in kernel.yaml.');
};

const checkModules = ({ brokenModules }: DoctorPorts): Check => {
  const broken = brokenModules();
  return broken.length === 0
    ? ok('modules', 'every installed module is usable')
    : failed(
        'modules',
        broken.map(({ name, reason }) => `${name}: ${reason}`).join('; '),
        'Install the module again, or remove it.',
      );
};

export const examine = async (ports: DoctorPorts, signal: AbortSignal): Promise<OperationResult<'kernel.doctor'>> => {
  const checks = [
    ...(await checkEngine(ports, signal)),
    ...checkZones(ports),
    ...(await checkDisk(ports)),
    await checkMemory(),
    checkSockets(ports),
    checkClock(ports),
    await checkUids(ports),
    checkModules(ports),
  ];
  return { ok: checks.every(({ status }) => status !== 'failed'), checks };
};
