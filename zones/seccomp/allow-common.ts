/** What Node 26, the agent and ordinary module code need in both zones. Each row was seen in a trace or is what libc falls back to. */
import type { AllowRow, ArgumentTest } from './profile.types.ts';

const equal = (index: number, value: number): ArgumentTest => ({ index, op: 'SCMP_CMP_EQ', value });

/** One row for each value, since a filter has no "one of". */
export const oneOf = (
  name: string,
  index: number,
  values: Readonly<Record<string, number>>,
  why: string,
): readonly AllowRow[] =>
  Object.entries(values).map(([label, value]) => ({
    names: [name],
    args: [equal(index, value)],
    why: `${label}: ${why}`,
  }));

const SOL_SOCKET = 1;
const socketOption = (label: string, option: number): AllowRow => ({
  names: ['setsockopt'],
  args: [equal(1, SOL_SOCKET), equal(2, option)],
  why: `${label}: libuv sets it; no other, since SO_ATTACH_FILTER loads a program into the kernel`,
});

export const COMMON_ALLOWLIST: readonly AllowRow[] = [
  {
    names: ['execve'],
    why: "the engine's runtime starts the agent under the filter already; what may be executed at all is only Node, since every writable mount is noexec",
  },
  {
    names: [
      'exit',
      'exit_group',
      'futex',
      'gettid',
      'getpid',
      'getppid',
      'set_robust_list',
      'set_tid_address',
      'rseq',
      'restart_syscall',
      'sched_yield',
    ],
    why: 'threads of libc, libuv and V8',
  },
  {
    names: ['rt_sigaction', 'rt_sigprocmask', 'rt_sigreturn', 'sigaltstack'],
    why: 'signal handlers; sending is another matter',
  },
  {
    names: ['brk', 'mmap', 'munmap', 'mprotect', 'mremap', 'madvise'],
    why: 'memory of libc and V8, with its just-in-time compiler',
  },
  {
    names: [
      'read',
      'write',
      'readv',
      'writev',
      'pread64',
      'pwrite64',
      'preadv',
      'pwritev',
      'close',
      'lseek',
      'dup',
      'dup2',
      'dup3',
      'pipe2',
      'eventfd2',
    ],
    why: 'descriptors',
  },
  {
    names: [
      'openat',
      'stat',
      'fstat',
      'lstat',
      'newfstatat',
      'statx',
      'access',
      'faccessat',
      'readlink',
      'readlinkat',
      'getcwd',
      'chdir',
      'getdents64',
      'statfs',
      'fstatfs',
    ],
    why: 'reading the file tree',
  },
  {
    names: [
      'mkdir',
      'mkdirat',
      'rmdir',
      'unlink',
      'unlinkat',
      'rename',
      'renameat',
      'renameat2',
      'link',
      'linkat',
      'symlink',
      'symlinkat',
      'chmod',
      'fchmod',
      'fchmodat',
      'fchown',
      'umask',
      'utimensat',
      'ftruncate',
      'fsync',
      'fdatasync',
      'copy_file_range',
      'sendfile',
    ],
    why: 'files in /tmp and /module, the only writable places',
  },
  { names: ['epoll_create1', 'epoll_ctl', 'epoll_pwait', 'poll', 'ppoll'], why: 'the event loop' },
  {
    names: ['connect', 'bind', 'listen', 'accept4', 'shutdown', 'getsockname', 'getpeername', 'getsockopt'],
    why: "Unix sockets: the agent's, and those of a module to itself",
  },
  { names: ['socket', 'socketpair'], why: 'of the family that the deny table leaves' },
  socketOption('SO_REUSEADDR', 2),
  socketOption('SO_SNDBUF', 7),
  socketOption('SO_RCVBUF', 8),
  {
    names: ['clock_gettime', 'clock_getres', 'clock_nanosleep', 'nanosleep', 'gettimeofday'],
    why: 'reading the time and waiting, also where the vDSO is not used',
  },
  { names: ['getrandom'], why: 'random numbers' },
  {
    names: [
      'getuid',
      'geteuid',
      'getgid',
      'getegid',
      'capget',
      'uname',
      'sysinfo',
      'getrusage',
      'getpriority',
      'sched_getaffinity',
      'sched_getscheduler',
      'sched_getparam',
    ],
    why: 'questions about itself; V8 sets up its heap and threads by the answers',
  },
  {
    names: ['prlimit64'],
    args: [equal(2, 0)],
    why: 'reading limits; changing one passes a pointer in the third argument',
  },
  ...oneOf(
    'prctl',
    0,
    { PR_SET_NAME: 15, PR_GET_NAME: 16 },
    'names of threads; other operations change dumpability, seccomp or memory maps',
  ),
  ...oneOf('arch_prctl', 0, { ARCH_SET_FS: 0x1002 }, 'thread-local storage on x86_64'),
  ...oneOf(
    'ioctl',
    1,
    { TCGETS: 0x5401, TIOCGWINSZ: 0x5413, FIONREAD: 0x541b, FIONBIO: 0x5421, FIOCLEX: 0x5451 },
    'what libuv asks of descriptors; TIOCSTI and device requests stay out',
  ),
  ...oneOf(
    'fcntl',
    1,
    { F_DUPFD: 0, F_GETFD: 1, F_SETFD: 2, F_GETFL: 3, F_SETFL: 4, F_DUPFD_CLOEXEC: 1030 },
    'flags of descriptors; locks are another matter',
  ),
];
