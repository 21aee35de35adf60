/**
 * Everything that a fault could leave behind, on the engine, in the system and in the kernel. Taken before a fault and
 * compared after it.
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { containersOf, engineApi, ENGINE_HOST, type KernelUnderTest, type Snapshot } from './kernel.ts';

export type FullSnapshot = Snapshot & {
  readonly networkNames: readonly string[];
  /** Uids that containers of this home hold. */
  readonly leasedUids: number;
  /** Processes that run under one of those uids. */
  readonly processes: number;
  /** Descriptors of the kernel by what they are. */
  readonly descriptors: Readonly<Record<string, number>>;
  /** Mounts of the engine for containers that it does not know. */
  readonly strayMounts: readonly string[];
  /** Processes under a uid from the range of this home that no container of it holds. */
  readonly strayProcesses: readonly string[];
};

const uidOfProcess = (pid: string): number | null => {
  try {
    return Number(/^Uid:\t(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch {
    // It ended meanwhile.
    return null;
  }
};

/** Pids of all processes under these uids. */
export const processesOf = (uids: ReadonlySet<number>): string[] =>
  readdirSync('/proc').filter((name) => /^\d+$/.test(name) && uids.has(uidOfProcess(name) ?? -1));

/** What the descriptors of a process are: `socket`, `pipe`, `anon_inode:[eventfd]`, `file`. */
const descriptorsOf = (pid: number): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
      const kind = target.startsWith('/')
        ? 'file'
        : target.startsWith('anon_inode')
          ? target
          : (target.split(':')[0] ?? target);
      counts[kind] = (counts[kind] ?? 0) + 1;
    } catch {
      // Closed meanwhile.
    }
  }
  return Object.fromEntries(Object.entries(counts).toSorted(([a], [b]) => a.localeCompare(b)));
};

type Inspected = { readonly GraphDriver: { readonly Data: Readonly<Record<string, string>> | null } };

const overlaysOf = async (ids: readonly string[], host: string): Promise<Set<string>> => {
  const found = await Promise.all(ids.map((id) => engineApi<Inspected>('GET', `/containers/${id}/json`, host)));
  return new Set(found.flatMap(({ GraphDriver }) => GraphDriver?.Data?.['MergedDir'] ?? []));
};

export const takeSnapshot = async (
  kernel: KernelUnderTest,
  options: { readonly host?: string; readonly uids?: readonly [number, number] } = {},
): Promise<FullSnapshot> => {
  const host = options.host ?? ENGINE_HOST;
  const own = await containersOf(kernel.homeId(), host);
  const uids = new Set(own.map(({ Labels }) => Number(Labels['kerneld.uid'])));
  // What exists is read before the engine is asked, so that a container made meanwhile is no stray.
  const { DockerRootDir } = await engineApi<{ readonly DockerRootDir: string }>('GET', '/info', host);
  // Other engines of this machine may share its mount namespace.
  const merged = readFileSync(`/proc/${engineProcesses(host).dockerd}/mounts`, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const at = line.split(' ')[1] ?? '';
      return at.startsWith(`${DockerRootDir}/`) && at.endsWith('/merged') ? [at] : [];
    });
  const all = await engineApi<{ Id: string }[]>('GET', '/containers/json?all=1', host);
  const overlays = await overlaysOf(
    all.map(({ Id }) => Id),
    host,
  );
  const [first, last] = options.uids ?? [0, -1];
  const range = new Set(Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => first + at));
  const networks = await engineApi<{ Name: string }[]>('GET', '/networks', host);
  return {
    ...(await kernel.snapshot()),
    networkNames: networks.map(({ Name }) => Name).toSorted(),
    leasedUids: uids.size,
    processes: processesOf(uids).length,
    descriptors: descriptorsOf(kernel.pid()),
    strayMounts: merged.filter((at) => !overlays.has(at)),
    strayProcesses: processesOf(range.difference(uids)),
  };
};

/** Waits until everything is as it was; says what is not. */
export const sameAs = async (
  before: FullSnapshot,
  take: () => Promise<FullSnapshot>,
  timeoutMs = 15_000,
): Promise<FullSnapshot> => {
  const untilMs = performance.now() + timeoutMs;
  for (;;) {
    const now = await take().catch((error: unknown) => {
      // A container can vanish between two questions to the engine.
      if (performance.now() > untilMs) throw error;
      return null;
    });
    if (now !== null && (JSON.stringify(now) === JSON.stringify(before) || performance.now() > untilMs)) return now;
    await delay(100);
  }
};

type ProcessTable = ReadonlyMap<number, { readonly parent: number; readonly name: string; readonly command: string }>;

const readProcesses = (): ProcessTable => {
  const table = new Map<number, { parent: number; name: string; command: string }>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      table.set(Number(pid), {
        parent,
        name,
        command: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '),
      });
    } catch {
      // It ended meanwhile.
    }
  }
  return table;
};

/** The engine behind a socket: its daemon, and the containerd that serves it. */
export const engineProcesses = (
  host = ENGINE_HOST,
): { readonly dockerd: number; readonly containerd: readonly number[] } => {
  const socket = host.replace('unix://', '');
  const table = readProcesses();
  const daemons = [...table].filter(([, { name }]) => name === 'dockerd');
  const named = daemons.find(([, { command }]) => command.includes(socket)) ?? daemons[0];
  if (named === undefined) throw new Error(`no dockerd runs for ${socket}`);
  const [dockerd] = named;
  const own = [...table].filter(([, { name, parent }]) => name === 'containerd' && parent === dockerd);
  const any = own.length > 0 ? own : [...table].filter(([, { name }]) => name === 'containerd');
  return { dockerd, containerd: any.map(([pid]) => pid) };
};

/** The shim of a container, which copies its output. */
export const shimsOf = (containers: readonly string[]): number[] =>
  [...readProcesses()].flatMap(([pid, { command }]) =>
    command.includes('containerd-shim') && containers.some((id) => command.includes(id)) ? [pid] : [],
  );

const TICKS_PER_SECOND = 100; // USER_HZ is 100 on every Linux that Node runs on

/** Processor time of a process, its ended children not included, in milliseconds. */
export const cpuMs = (pid: number): number => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
};

/** Resident memory of a process. */
export const rssBytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
