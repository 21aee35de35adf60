/**
 * Runs a program under a seccomp filter that lets it make Unix sockets and no others, as systemd's
 * `RestrictAddressFamilies=AF_UNIX` does: `node unix-only.mjs PROGRAM ARGUMENT…`. The filter is inherited by
 * everything that the program starts, and cannot be taken off.
 */
import { constants } from 'node:os';
import { dlopen, getRawPointer } from 'node:ffi';

const AF_UNIX = 1;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_SET_SECCOMP = 22;
const SECCOMP_MODE_FILTER = 2;
const IO_URING_SETUP = 425;
/** Calls of the x32 interface carry this bit, and would otherwise be ways around the numbers below. */
const X32_BIT = 0x40000000;

const MACHINES = {
  x64: { arch: 0xc000003e, socket: 41, socketpair: 53 },
  arm64: { arch: 0xc00000b7, socket: 198, socketpair: 199 },
};
const machine = MACHINES[process.arch];
if (machine === undefined) throw new Error(`no filter is known for ${process.arch}`);

// Classic BPF over struct seccomp_data { int nr; u32 arch; u64 ip; u64 args[6]; }, see seccomp(2).
const load = (offset) => [0x20, 0, 0, offset];
const jumpIfEqual = (value, yes, no) => [0x15, yes, no, value];
const jumpIfAtLeast = (value, yes, no) => [0x35, yes, no, value];
const answer = (value) => [0x06, 0, 0, value];
const ALLOW = 0x7fff0000;
const fail = (errno) => 0x00050000 | errno;

const filter = [
  /* 0 */ load(4),
  /* 1 */ jumpIfEqual(machine.arch, 0, 9),
  /* 2 */ load(0),
  /* 3 */ jumpIfAtLeast(X32_BIT, 7, 0),
  // A ring could open sockets by itself, past this filter.
  /* 4 */ jumpIfEqual(IO_URING_SETUP, 7, 0),
  /* 5 */ jumpIfEqual(machine.socket, 1, 0),
  /* 6 */ jumpIfEqual(machine.socketpair, 0, 3),
  /* 7 */ load(16),
  /* 8 */ jumpIfEqual(AF_UNIX, 1, 0),
  /* 9 */ answer(fail(constants.errno.EPERM)),
  /* 10 */ answer(ALLOW),
  /* 11 */ answer(fail(constants.errno.EPERM)),
  /* 12 */ answer(fail(constants.errno.ENOSYS)),
];

const code = Buffer.alloc(filter.length * 8);
filter.forEach(([operation, yes, no, value], at) => {
  code.writeUInt16LE(operation, at * 8);
  code.writeUInt8(yes, at * 8 + 2);
  code.writeUInt8(no, at * 8 + 3);
  code.writeUInt32LE(value >>> 0, at * 8 + 4);
});
const program = Buffer.alloc(16);
program.writeUInt16LE(filter.length, 0);
program.writeBigUInt64LE(getRawPointer(code), 8);

const { functions } = dlopen(null, { prctl: { arguments: ['i32', 'u64', 'u64', 'u64', 'u64'], return: 'i32' } });
const set = (option, ...args) => {
  const [second = 0n, third = 0n] = args;
  if (functions.prctl(option, second, third, 0n, 0n) !== 0) throw new Error(`prctl ${option} failed`);
};
set(PR_SET_NO_NEW_PRIVS, 1n);
set(PR_SET_SECCOMP, BigInt(SECCOMP_MODE_FILTER), getRawPointer(program));

const [path, ...args] = process.argv.slice(2);
process.execve(path, [path, ...args], process.env);
