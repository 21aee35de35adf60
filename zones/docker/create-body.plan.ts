/**
 * ContainerSpec -> body of the engine's "create container" (DESIGN section 5, "Every instance").
 * Each line below is one sentence of it; nothing is left to a default of the engine that could weaken it.
 */
import type { ContainerSpec } from '../../Kernel/contract/ports.ts';
import { containerNameOf, labelsOf } from './labels.table.ts';

/** Path inside the instance under which its own directory is bound. */
export const INSTANCE_DIRECTORY = '/run/kerneld';

export const planCreateBody = (spec: ContainerSpec) => ({
  name: containerNameOf(spec.uid),
  Image: spec.image,
  User: `${spec.uid}:${spec.uid}`,
  Hostname: 'instance', // the default is the container's id, which the instance need not know
  // A network namespace of its own all the same (runc makes it, with loopback only), but without libnetwork: its
  // endpoints of the network `none` cost half of the start time, and in engine 20.10 two containers that end at
  // the same moment can lock the whole engine up there (network and controller locks are taken in both orders).
  NetworkDisabled: true,
  WorkingDir: '/',
  // Both, so that an operator's own image cannot put its entry point or health check around the agent.
  Entrypoint: spec.command.slice(0, 1),
  Cmd: spec.command.slice(1),
  Healthcheck: { Test: ['NONE'] },
  Env: Object.entries(spec.environment).map(([name, value]) => `${name}=${value}`),
  Labels: labelsOf(spec),
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  OpenStdin: false,
  Tty: false,
  HostConfig: planHostConfig(spec),
});

const planHostConfig = (spec: ContainerSpec) => ({
  NetworkMode: 'none',
  IpcMode: 'none',
  CgroupnsMode: 'private' as const,
  Privileged: false,
  PublishAllPorts: false,
  // The engine's own init would keep the engine's pipe reachable through /proc/1/fd.
  Init: false,
  AutoRemove: false,
  RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
  ...(spec.runtime === '' ? {} : { Runtime: spec.runtime }),
  ReadonlyRootfs: true,
  Binds: [`${spec.directory}:${INSTANCE_DIRECTORY}:ro`],
  Tmpfs: {
    '/tmp': tmpfsOptions(spec.tmpBytes, 'mode=1777'),
    '/module': tmpfsOptions(spec.moduleTmpBytes, `mode=0700,uid=${spec.uid},gid=${spec.uid}`),
  },
  CapDrop: ['ALL'],
  SecurityOpt: ['no-new-privileges', `seccomp=${spec.seccompProfile}`],
  Memory: spec.memoryBytes,
  MemorySwap: spec.memoryBytes,
  NanoCpus: Math.round(spec.cpus * 1e9),
  PidsLimit: spec.pids,
  Ulimits: [
    { Name: 'nofile', Soft: spec.nofile, Hard: spec.nofile },
    { Name: 'core', Soft: 0, Hard: 0 },
    // /dev/mqueue is mounted by the engine and writable; queues live in kernel memory.
    { Name: 'msgqueue', Soft: 0, Hard: 0 },
    { Name: 'memlock', Soft: 65_536, Hard: 65_536 },
  ],
  // What is printed before the agent closes its descriptors; max-file 1 truncates in place.
  LogConfig: { Type: 'json-file', Config: { 'max-size': '64k', 'max-file': '1' } },
});

/** Inodes are bounded too: an empty file costs about 1 KiB of kernel memory and no byte of `size`. */
const tmpfsOptions = (bytes: number, mode: string): string =>
  `rw,noexec,nosuid,nodev,size=${bytes},nr_inodes=${Math.max(1024, Math.ceil(bytes / 4096))},${mode}`;
