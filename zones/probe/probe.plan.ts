/**
 * What the probe tries in a zone: every row of the deny table, every difference between the zones, and what the
 * allowlists narrow to certain arguments. All arguments are chosen so that a call that is NOT refused does no harm:
 * the filter looks first, and then the kernel rejects the arguments (EFAULT, EBADF, EINVAL).
 */
import type { ZoneName } from '../../Kernel/contract/ids.ts';
import { DENY_TABLE, NAMESPACE_FLAGS } from '../seccomp/deny-table.ts';

/** A number as is; `pid` of the probe; `file`, a descriptor open for writing in /tmp. */
export type AttemptArgument = number | 'pid' | 'file';
/** `allowed`: anything but EPERM and ENOSYS, since the arguments may be refused by the kernel behind the filter. */
export type AttemptExpectation = 'EPERM' | 'ENOSYS' | 'allowed';
export type Attempt = {
  readonly name: string;
  readonly syscall: string;
  readonly args: readonly AttemptArgument[];
  readonly expected: AttemptExpectation;
  readonly why: string;
};

/** No descriptor, no readable address, no known flag. */
const INVALID: readonly number[] = [-1, -1, -1, -1, -1, -1];

const CLONE_VM = 0x100;
const CLONE_FS = 0x200;
const CLONE_SIGHAND = 0x800;
const CLONE_THREAD = 0x10000;
const SIGCHLD = 17;

/** Shared signal handlers without shared memory: never valid, so no process comes of it whatever the filter says. */
const IMPOSSIBLE_CLONE = CLONE_SIGHAND;

const NAMESPACES = {
  NEWNS: 0x00020000,
  NEWCGROUP: 0x02000000,
  NEWUTS: 0x04000000,
  NEWIPC: 0x08000000,
  NEWUSER: 0x10000000,
  NEWPID: 0x20000000,
  NEWNET: 0x40000000,
} as const;
const FAMILIES = {
  AF_INET: 2,
  AF_INET6: 10,
  AF_NETLINK: 16,
  AF_PACKET: 17,
  AF_TIPC: 30,
  AF_BLUETOOTH: 31,
  AF_ALG: 38,
  AF_VSOCK: 40,
  AF_XDP: 44,
} as const;

export const planAttempts = (zone: ZoneName): readonly Attempt[] => [
  ...neverAttempts(),
  ...cloneAttempts(),
  ...socketAttempts(),
  ...narrowedAttempts(),
  ...differenceAttempts(zone),
];

const neverAttempts = (): readonly Attempt[] =>
  DENY_TABLE.never.map((row) => ({
    name: row.syscall,
    syscall: row.syscall,
    args: INVALID,
    expected: row.errno,
    why: row.attack,
  }));

const cloneAttempts = (): readonly Attempt[] => {
  const why = 'namespaces of its own give capabilities in them';
  const of = (name: string, flags: number): Attempt => ({
    name: `clone(${name})`,
    syscall: 'clone',
    args: [flags, 0, 0, 0, 0],
    expected: 'EPERM',
    why,
  });
  return [
    ...Object.entries(NAMESPACES).map(([name, flag]) => of(name, flag | IMPOSSIBLE_CLONE)),
    of('all namespaces', NAMESPACE_FLAGS | IMPOSSIBLE_CLONE),
    // Looks like a thread to the mask of sandbox; NEWUSER with THREAD is never valid.
    of('NEWUSER as a thread', NAMESPACES.NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_FS),
  ];
};

const socketAttempts = (): readonly Attempt[] => [
  ...Object.entries(FAMILIES).map(([family, value]): Attempt => ({
    name: `socket(${family})`,
    syscall: 'socket',
    args: [value, 2, 0],
    expected: 'EPERM',
    why: 'only Unix sockets',
  })),
  {
    name: 'socketpair(AF_TIPC)',
    syscall: 'socketpair',
    args: [30, 1, 0, -1],
    expected: 'EPERM',
    why: 'only Unix sockets',
  },
  {
    name: 'socketpair(AF_INET)',
    syscall: 'socketpair',
    args: [2, 1, 0, -1],
    expected: 'EPERM',
    why: 'only Unix sockets',
  },
  // A control: if this were refused too, the refusals above would prove nothing about the filter.
  {
    name: 'socket(AF_UNIX)',
    syscall: 'socket',
    args: [1, 1, 0],
    expected: 'allowed',
    why: 'the agent must reach the kernel',
  },
];

const narrowedAttempts = (): readonly Attempt[] => {
  const refused = (name: string, syscall: string, args: readonly AttemptArgument[], why: string): Attempt => ({
    name,
    syscall,
    args,
    expected: 'EPERM',
    why,
  });
  return [
    refused('prctl(PR_SET_SECCOMP)', 'prctl', [22, -1, -1, 0, 0], 'only names of threads'),
    refused('prctl(PR_SET_DUMPABLE)', 'prctl', [4, 1, 0, 0, 0], 'only names of threads'),
    refused('prctl(PR_SET_MM)', 'prctl', [35, -1, -1, 0, 0], 'only names of threads'),
    refused('setsockopt(SO_ATTACH_FILTER)', 'setsockopt', [-1, 1, 26, -1, 0], 'loads a program into the kernel'),
    refused('setsockopt(SO_ATTACH_BPF)', 'setsockopt', [-1, 1, 50, -1, 0], 'loads a program into the kernel'),
    refused('ioctl(TIOCSTI)', 'ioctl', [-1, 0x5412, -1], 'types into the terminal of somebody else'),
    refused('prlimit64(set)', 'prlimit64', [0, 7, -1, 0], "limits are the kernel's to set"),
    refused('fcntl(F_NOTIFY)', 'fcntl', ['file', 1026, 0], 'only flags of descriptors'),
    refused('mlockall', 'mlockall', INVALID, 'stands for everything that no list names: the default is to refuse'),
  ];
};

/** Names are those of ZONE_DIFFERENCES; each is allowed in stable and EPERM in sandbox. */
const differenceAttempts = (zone: ZoneName): readonly Attempt[] => {
  const expected = zone === 'stable' ? 'allowed' : 'EPERM';
  const of = (difference: string, syscall: string, args: readonly AttemptArgument[], detail = syscall): Attempt => ({
    name: `${difference}: ${detail}`,
    syscall,
    args,
    expected,
    why: `stable may, sandbox may not: ${difference}`,
  });
  return [
    of('start-process', 'clone', [IMPOSSIBLE_CLONE | SIGCHLD, 0, 0, 0, 0], 'clone of a process'),
    of('start-process', 'wait4', [-1, 0, 1, 0]),
    // Not tried where it is allowed: it takes no argument that could make it fail.
    ...(zone === 'sandbox' ? [of('start-process', 'fork', []), of('start-process', 'vfork', [])] : []),
    of('send-signal', 'kill', ['pid', 0]),
    of('send-signal', 'tgkill', ['pid', 'pid', 0]),
    of('file-lock', 'flock', ['file', 6]),
    of('file-lock', 'fcntl', ['file', 6, -1], 'fcntl(F_SETLK)'),
    of('file-lock', 'fcntl', ['file', 37, -1], 'fcntl(F_OFD_SETLK)'),
    of('pass-descriptor', 'sendmsg', [-1, -1, 0]),
    of('pass-descriptor', 'recvmsg', [-1, -1, 0]),
    of('watch-files', 'inotify_init1', [0]),
  ];
};
