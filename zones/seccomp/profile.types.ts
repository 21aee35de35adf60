/** Seccomp profiles in the form that Docker and runc read, and the data they are compiled from. */
import type { ZoneName } from '../../Kernel/contract/ids.ts';

/** One comparison of an argument. `MASKED_EQ`: (argument & value) == valueTwo. Arguments are 64 bits, none here is larger than 32. */
export type ArgumentTest = {
  readonly index: number;
  readonly op: 'SCMP_CMP_EQ' | 'SCMP_CMP_MASKED_EQ';
  readonly value: number;
  readonly valueTwo?: number;
};

/** A syscall, or some calls of it, that a zone may make. Tests within `args` must all hold; rows of one name add up. */
export type AllowRow = {
  readonly names: readonly string[];
  readonly args?: readonly ArgumentTest[];
  readonly why: string;
};

export type DenyErrno = 'EPERM' | 'ENOSYS';

/** A syscall that no zone may make, whatever an allowlist says. */
export type NeverRow = {
  readonly syscall: string;
  readonly errno: DenyErrno;
  readonly why: string;
  /** What it would give an attacker, as the technique or a known hole. */
  readonly attack: string;
};

/** A syscall that a zone may make only when this test holds; it is forced upon every allowance of that syscall. */
export type OnlyRow = {
  readonly syscall: string;
  readonly test: ArgumentTest;
  readonly why: string;
  readonly attack: string;
};

export type DenyTable = { readonly never: readonly NeverRow[]; readonly only: readonly OnlyRow[] };

/** One thing that `stable` may do and `sandbox` may not, with the calls that prove it. */
export type ZoneDifference = {
  readonly name: string;
  readonly why: string;
  readonly rows: readonly AllowRow[];
};

export type SeccompRule = {
  readonly names: readonly string[];
  readonly action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  readonly errnoRet?: number;
  readonly args?: readonly ArgumentTest[];
  readonly comment: string;
};

export type SeccompProfile = {
  readonly defaultAction: 'SCMP_ACT_ERRNO';
  readonly archMap: readonly { readonly architecture: string; readonly subArchitectures: readonly string[] }[];
  readonly syscalls: readonly SeccompRule[];
};

export type ZoneAllowlists = Readonly<Record<ZoneName, readonly AllowRow[]>>;
