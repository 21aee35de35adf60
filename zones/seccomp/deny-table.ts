/**
 * What no instance may do, as data (DESIGN section 5). It wins over every allowlist: compile.plan.ts takes the
 * `never` rows out of them and forces the `only` tests upon them; the probe then tries every row natively.
 */
import type { DenyErrno, DenyTable, NeverRow, OnlyRow } from './profile.types.ts';

/** NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. CLONE_NEWTIME shares a bit with the exit signal, so clone can't ask for it. */
export const NAMESPACE_FLAGS = 0x7e020000;
export const AF_UNIX = 1;

const rows = (errno: DenyErrno, why: string, attack: string, ...syscalls: readonly string[]): readonly NeverRow[] =>
  syscalls.map((syscall) => ({ syscall, errno, why, attack }));

const never: readonly NeverRow[] = [
  ...rows(
    'ENOSYS',
    'its flags are behind a pointer, where a filter cannot read them; libc falls back to clone on ENOSYS only',
    'clone3(CLONE_NEWUSER) gives all capabilities in a new user namespace and opens most of the kernel to unprivileged code',
    'clone3',
  ),
  ...rows(
    'ENOSYS',
    'its operations run in kernel threads, outside the filter; libuv falls back to epoll on ENOSYS',
    'socket, openat and others through the ring without seccomp; a long list of privilege escalations, as CVE-2022-29582',
    'io_uring_setup', 'io_uring_enter', 'io_uring_register',
  ),
  ...rows('EPERM', 'namespaces are the engine\'s to make', 'user namespaces for capabilities (CVE-2022-0185); entering those of others', 'unshare', 'setns'),
  ...rows(
    'EPERM',
    'the tree of mounts is the engine\'s to make',
    'remounting the root writable, uncovering masked paths of /proc, the new mount interface (CVE-2022-0185)',
    'mount', 'umount2', 'pivot_root', 'chroot', 'fsopen', 'fsconfig', 'fsmount', 'fspick', 'move_mount', 'open_tree', 'mount_setattr',
  ),
  ...rows('EPERM', 'the kernel keyring is not part of any namespace', 'reading keys of the host; use-after-free as CVE-2016-0728', 'keyctl', 'add_key', 'request_key'),
  ...rows('EPERM', 'programs inside the kernel are no business of an instance', 'verifier bugs as CVE-2020-8835', 'bpf'),
  ...rows('EPERM', 'measures the whole machine', 'side channels on neighbours; CVE-2013-2094', 'perf_event_open'),
  ...rows('EPERM', 'stops a kernel thread at a page fault for as long as wanted', 'makes kernel races certain, as in most published exploits', 'userfaultfd'),
  ...rows(
    'EPERM',
    'one process has no business in another\'s memory or descriptors',
    'taking over a process of the same uid; PTRACE changes the syscall after the filter saw it on old kernels',
    'ptrace', 'process_vm_readv', 'process_vm_writev', 'process_madvise', 'pidfd_open', 'pidfd_getfd', 'pidfd_send_signal', 'kcmp',
  ),
  ...rows('EPERM', 'files without a path can be executed though every mount is noexec', 'running a program never written to a disk', 'memfd_create', 'memfd_secret', 'execveat'),
  ...rows('EPERM', 'changes how programs are mapped', 'READ_IMPLIES_EXEC, ADDR_NO_RANDOMIZE for the next exploit', 'personality', 'modify_ldt', 'uselib'),
  ...rows(
    'EPERM',
    'the machine belongs to its owner',
    'replacing the kernel, loading code into it, stopping the machine',
    'kexec_load', 'kexec_file_load', 'init_module', 'finit_module', 'delete_module', 'reboot', 'swapon', 'swapoff', 'acct', 'quotactl',
  ),
  ...rows('EPERM', 'opens by inode, past every mount', 'the "shocker" escape by open_by_handle_at', 'open_by_handle_at', 'name_to_handle_at'),
  ...rows('EPERM', 'clock and name are the machine\'s', 'breaking deadlines, logs and expiry of signatures', 'settimeofday', 'clock_settime', 'clock_adjtime', 'adjtimex', 'sethostname', 'setdomainname'),
  ...rows('EPERM', 'the uid is fixed and no capability exists', 'second steps of an escalation', 'setuid', 'setgid', 'setreuid', 'setregid', 'setresuid', 'setresgid', 'setgroups', 'setfsuid', 'setfsgid', 'capset'),
  ...rows('EPERM', 'kernel messages tell addresses', 'defeating address randomisation', 'syslog'),
  ...rows('EPERM', 'a filter of its own can answer for the kernel (user notification) and can hide calls from tracing', 'confusing code that relies on errors', 'seccomp'),
  ...rows('EPERM', 'moves pipe pages about without copying', 'writing to files opened read-only: Dirty Pipe, CVE-2022-0847', 'splice', 'tee', 'vmsplice'),
  ...rows('EPERM', 'kernel objects that outlive the process or lie outside its accounting', 'exhausting kernel memory; many memory-safety holes (CVE-2021-22555 sprays with msgsnd)', 'msgget', 'semget', 'shmget', 'mq_open', 'io_setup', 'fanotify_init'),
  ...rows('EPERM', 'no device or pipe node is ever needed', 'reaching devices by number', 'mknod', 'mknodat'),
  ...rows('EPERM', 'placing pages is the machine\'s business', 'side channels on shared pages; holes as CVE-2016-5195 widened', 'mbind', 'set_mempolicy', 'migrate_pages', 'move_pages', 'remap_file_pages'),
  ...rows('EPERM', 'direct access to hardware ports', 'input and output past the kernel', 'iopl', 'ioperm'),
  ...rows('EPERM', 'old interfaces kept for programs that nobody has', 'code rarely looked at', 'nfsservctl', 'vhangup', 'lookup_dcookie', 'sysfs', 'ustat', '_sysctl'),
];

const only: readonly OnlyRow[] = [
  {
    syscall: 'clone',
    test: { index: 0, op: 'SCMP_CMP_MASKED_EQ', value: NAMESPACE_FLAGS, valueTwo: 0 },
    why: 'threads, and in stable processes, but no namespaces',
    attack: 'clone(CLONE_NEWUSER), as unshare',
  },
  {
    syscall: 'socket',
    test: { index: 0, op: 'SCMP_CMP_EQ', value: AF_UNIX },
    why: 'the agent\'s socket is a Unix socket and there is nothing else to reach',
    attack: 'AF_VSOCK reaches the hypervisor from any network namespace; AF_ALG, AF_PACKET, AF_NETLINK have long lists of holes (CVE-2017-7308)',
  },
  {
    syscall: 'socketpair',
    test: { index: 0, op: 'SCMP_CMP_EQ', value: AF_UNIX },
    why: 'as socket',
    attack: 'as socket',
  },
];

export const DENY_TABLE: DenyTable = { never, only };
