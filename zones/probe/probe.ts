/**
 * The probe: runs as PID 1 of a throwaway container under the zone's own profile, limits and uid, tries natively
 * what the zone must refuse, and prints what it saw. Bundled into the image as /agent/probe.mjs; ends with status 0
 * when it could look at everything, whatever it saw.
 *
 *     node --experimental-ffi /agent/probe.mjs stable
 */
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { DynamicLibrary, getInt32 } from 'node:ffi';
import { constants } from 'node:os';
import { planAttempts } from './probe.plan.ts';
import type { Attempt, AttemptArgument } from './probe.plan.ts';
import { OBSERVATION_PREFIX } from './observation-line.ts';
import type { Observation } from './observation.schema.ts';
import { syscallNumber } from './syscall-numbers.ts';

const errnoNames = new Map(Object.entries(constants.errno).map(([name, value]) => [value, name]));

/** `syscall(2)` of libc, called directly: no wrapper of libc or Node stands between the probe and the filter. */
const openSyscall = () => {
  const library = new DynamicLibrary('libc.so.6');
  const call = library.getFunction('syscall', {
    arguments: ['i64', 'i64', 'i64', 'i64', 'i64', 'i64', 'i64'],
    return: 'i64',
  });
  const errnoAt = library.getFunction('__errno_location', { arguments: [], return: 'pointer' })();
  return (number: number, args: readonly bigint[]): { result: bigint; errno: number } => {
    const [a = 0n, b = 0n, c = 0n, d = 0n, e = 0n, f = 0n] = args;
    const result = call(BigInt(number), a, b, c, d, e, f);
    return { result, errno: result === -1n ? getInt32(errnoAt) : 0 };
  };
};
type Syscall = ReturnType<typeof openSyscall>;

const arch = process.arch === 'arm64' ? 'arm64' : 'x64';

const tryOne = (syscall: Syscall, attempt: Attempt, valueOf: (argument: AttemptArgument) => bigint): string => {
  const number = syscallNumber(attempt.syscall, arch);
  if (number === null) return 'absent';
  if (number === undefined) return 'unknown';
  const { result, errno } = syscall(number, attempt.args.map(valueOf));
  // A fork that was not refused: the second process must not go on and print a report of its own.
  if (attempt.syscall === 'fork' && result === 0n) syscall(syscallNumber('exit_group', arch) ?? 0, [0n]);
  return result === -1n ? (errnoNames.get(errno) ?? `errno ${errno}`) : 'ok';
};

const tryAll = (zone: 'stable' | 'sandbox'): Record<string, string> => {
  const syscall = openSyscall();
  const file = openSync('/tmp/probe', 'w');
  const valueOf = (argument: AttemptArgument): bigint =>
    BigInt(argument === 'pid' ? process.pid : argument === 'file' ? file : argument);
  const seen = planAttempts(zone).map((attempt) => [attempt.name, tryOne(syscall, attempt, valueOf)] as const);
  closeSync(file);
  return Object.fromEntries(seen);
};

const readStatus = (): Record<string, string> =>
  Object.fromEntries(
    [...readFileSync('/proc/self/status', 'utf8').matchAll(/^(Cap\w+|NoNewPrivs|Seccomp|Groups):[ \t]*(.*)$/gm)].map(
      ([, name = '', value = '']) => [name, value.trim()],
    ),
  );

const readInterfaces = (): string[] =>
  readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .slice(2)
    .map((line) => line.split(':')[0]?.trim() ?? '')
    .filter((name) => name !== '');

const readMounts = (): Record<string, string> => {
  const points = new Set(['/', '/tmp', '/module', '/run/kerneld', '/dev/shm']);
  const found: Record<string, string> = {};
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const fields = line.split(' ');
    const [point, options] = [fields[4], fields[5]];
    if (point !== undefined && options !== undefined && points.has(point)) found[point] = options;
  }
  return found;
};

const tryWrite = (path: string): string => {
  try {
    writeFileSync(path, '');
    return 'ok';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
};

const zone = process.argv[2] === 'stable' ? 'stable' : 'sandbox';
const observation: Observation = {
  attempts: tryAll(zone),
  uid: process.getuid?.() ?? -1,
  gid: process.getgid?.() ?? -1,
  pid: process.pid,
  status: readStatus(),
  interfaces: readInterfaces(),
  mounts: readMounts(),
  cgroups: readFileSync('/proc/self/cgroup', 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(':').slice(2).join(':')),
  writes: Object.fromEntries(
    ['/written', '/agent/written', '/run/kerneld/written', '/tmp/written', '/module/written'].map((path) => [
      path,
      tryWrite(path),
    ]),
  ),
  coreLimit: /^Max core file size\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 'unknown',
};
writeSync(1, `${OBSERVATION_PREFIX}${JSON.stringify(observation)}\n`);
