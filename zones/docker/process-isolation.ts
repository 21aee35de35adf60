/** What the system itself says about a running container's PID 1, independent of the engine's word. */
import { readFile, readlink } from 'node:fs/promises';

export type ProcessIsolation = {
  readonly capabilities: string;
  readonly noNewPrivileges: boolean;
  readonly seccompMode: number | null;
  readonly namespaces: Readonly<Record<string, string>>;
};

const NAMESPACES = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'] as const;

/** Null when the process has ended meanwhile. */
export const readProcessIsolation = async (pid: number): Promise<ProcessIsolation | null> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(gone);
  if (status === null) return null;
  const seccomp = field(status, 'Seccomp');
  return {
    capabilities: field(status, 'CapEff') ?? 'unknown',
    noNewPrivileges: field(status, 'NoNewPrivs') === '1',
    seccompMode: seccomp === null ? null : Number(seccomp),
    namespaces: await readNamespaces(pid),
  };
};

/** A kernel that is not root may not read the links of other users' processes: they are left out. */
const readNamespaces = async (pid: number): Promise<Record<string, string>> => {
  const pairs = await Promise.all(
    NAMESPACES.map(async (name) => [name, await readlink(`/proc/${pid}/ns/${name}`).catch(gone)] as const),
  );
  return Object.fromEntries(
    pairs.filter((pair): pair is readonly [(typeof NAMESPACES)[number], string] => pair[1] !== null),
  );
};

const field = (status: string, name: string): string | null =>
  new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1] ?? null;

const gone = (error: NodeJS.ErrnoException): null => {
  if (error.code === 'ENOENT' || error.code === 'ESRCH' || error.code === 'EACCES' || error.code === 'EPERM')
    return null;
  throw error;
};
