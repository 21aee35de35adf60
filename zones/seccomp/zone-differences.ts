/**
 * What `stable` may do and `sandbox` may not. `stable` runs what the owner chose to install and keeps for long;
 * `sandbox` runs what nobody has looked at, mostly for one call. Each difference takes kernel code, or a way to
 * last longer than a call, from the latter.
 */
import { oneOf } from './allow-common.ts';
import type { AllowRow, ArgumentTest, ZoneDifference } from './profile.types.ts';

/** CLONE_VM | CLONE_SIGHAND | CLONE_THREAD: a thread of this process and never a process. */
const THREAD_FLAGS = 0x00010900;
const THREAD_ONLY: ArgumentTest = { index: 0, op: 'SCMP_CMP_MASKED_EQ', value: THREAD_FLAGS, valueTwo: THREAD_FLAGS };

export const ZONE_DIFFERENCES: readonly ZoneDifference[] = [
  {
    name: 'start-process',
    why: "a second process survives the replacement of the first one's code, hides from its accounts and makes fork bombs; with threads only, execve can at most replace the agent by another Node",
    rows: [
      { names: ['clone'], why: 'fork and posix_spawn of libc' },
      { names: ['fork', 'vfork'], why: 'the old calls on x86_64' },
      { names: ['wait4', 'waitid'], why: 'the end of children' },
      { names: ['setsid', 'setpgid', 'close_range'], why: 'detached children and their descriptors' },
    ],
  },
  {
    name: 'send-signal',
    why: 'an instance is alone in its pid namespace, so a signal can only serve to stop or disturb a sibling (SIGSTOP), which needs siblings',
    rows: [{ names: ['kill', 'tkill', 'tgkill'], why: 'signals to children and to itself' }],
  },
  {
    name: 'file-lock',
    why: 'locks live in kernel memory, one object each, and serve programs that share files: one-shot code shares none (so node:sqlite works on files in stable only)',
    rows: [
      { names: ['flock'], why: 'locks of whole files' },
      ...oneOf(
        'fcntl',
        1,
        { F_GETLK: 5, F_SETLK: 6, F_SETLKW: 7, F_OFD_GETLK: 36, F_OFD_SETLK: 37, F_OFD_SETLKW: 38 },
        'locks of ranges',
      ),
    ],
  },
  {
    name: 'pass-descriptor',
    why: 'sendmsg carries descriptors (SCM_RIGHTS): a way to hand files about and the source of holes in the collector of Unix sockets (CVE-2021-0920)',
    rows: [{ names: ['sendmsg', 'recvmsg'], why: 'messages between a process and its children' }],
  },
  {
    name: 'watch-files',
    why: 'a watch pins an inode and grows a queue in kernel memory; one-shot code has nothing to wait for',
    rows: [{ names: ['inotify_init1', 'inotify_add_watch', 'inotify_rm_watch'], why: 'fs.watch' }],
  },
];

/** Rows that only `sandbox` has: the narrower form of what a difference gives to `stable`. */
export const SANDBOX_ONLY: readonly AllowRow[] = [{ names: ['clone'], args: [THREAD_ONLY], why: 'threads only' }];
