/** Allowlist and deny table -> profile in Docker's format. The deny table always wins. */
import type {
  AllowRow,
  ArgumentTest,
  DenyErrno,
  DenyTable,
  OnlyRow,
  SeccompProfile,
  SeccompRule,
} from './profile.types.ts';

const ERRNO: Readonly<Record<DenyErrno, number>> = { EPERM: 1, ENOSYS: 38 };

/**
 * - Names of `never` rows are taken out of every allowance, and listed as denied of their own: on a kernel newer
 *   than the profile, runc answers ENOSYS for what is numbered above the highest syscall listed, and EPERM below.
 * - Tests of `only` rows are joined to every allowance of their syscall; an allowance that contradicts one is dropped.
 * - No sub-architectures: 32-bit and x32 calls have other numbers, and libseccomp ends the process that makes one.
 */
export const compileProfile = (allowlist: readonly AllowRow[], deny: DenyTable): SeccompProfile => ({
  defaultAction: 'SCMP_ACT_ERRNO',
  archMap: [
    { architecture: 'SCMP_ARCH_X86_64', subArchitectures: [] },
    { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: [] },
  ],
  syscalls: [...denials(deny), ...allowlist.flatMap((row) => allowances(row, deny))],
});

const denials = (deny: DenyTable): readonly SeccompRule[] =>
  deny.never.map((row) => ({
    names: [row.syscall],
    action: 'SCMP_ACT_ERRNO',
    errnoRet: ERRNO[row.errno],
    comment: row.why,
  }));

const allowances = (row: AllowRow, deny: DenyTable): readonly SeccompRule[] => {
  const never = new Set(deny.never.map((denied) => denied.syscall));
  const left = row.names.filter((name) => !never.has(name));
  const constrained = new Set(deny.only.map((only) => only.syscall));
  const free = left.filter((name) => !constrained.has(name));
  const rules = left
    .filter((name) => constrained.has(name))
    .flatMap((name) =>
      ruleOf(
        [name],
        joinAll(
          row.args ?? [],
          deny.only.filter((only) => only.syscall === name),
        ),
        row.why,
      ),
    );
  return [...(free.length === 0 ? [] : ruleOf(free, row.args ?? [], row.why)), ...rules];
};

const ruleOf = (
  names: readonly string[],
  args: readonly ArgumentTest[] | null,
  why: string,
): readonly SeccompRule[] => {
  if (args === null) return [];
  return [{ names, action: 'SCMP_ACT_ALLOW', ...(args.length === 0 ? {} : { args }), comment: why }];
};

const joinAll = (args: readonly ArgumentTest[], onlies: readonly OnlyRow[]): readonly ArgumentTest[] | null =>
  onlies.reduce<readonly ArgumentTest[] | null>(
    (joined, only) => (joined === null ? null : join(joined, only.test)),
    args,
  );

/** A filter compares an argument once in a rule, so two tests of one argument become one; null when none can pass both. */
const join = (args: readonly ArgumentTest[], forced: ArgumentTest): readonly ArgumentTest[] | null => {
  const own = args.find((test) => test.index === forced.index);
  if (own === undefined) return [...args, forced];
  const [a, b] = [masked(own), masked(forced)];
  const both = (a.mask & b.mask) >>> 0;
  if ((a.value & both) >>> 0 !== (b.value & both) >>> 0) return null;
  const joined = unmasked(forced.index, (a.mask | b.mask) >>> 0, (a.value | b.value) >>> 0, a.exact || b.exact);
  return args.map((test) => (test === own ? joined : test));
};

const masked = (test: ArgumentTest): { mask: number; value: number; exact: boolean } =>
  test.op === 'SCMP_CMP_EQ'
    ? { mask: 0xffffffff, value: test.value, exact: true }
    : { mask: test.value, value: test.valueTwo ?? 0, exact: false };

/** EQ stays EQ: it also holds the upper half of the argument to zero, which a mask of 32 bits would not. */
const unmasked = (index: number, mask: number, value: number, exact: boolean): ArgumentTest =>
  exact ? { index, op: 'SCMP_CMP_EQ', value } : { index, op: 'SCMP_CMP_MASKED_EQ', value: mask, valueTwo: value };

/** The committed form: stable bytes, one rule a line, so that a diff shows what a change gives away. */
export const formatProfile = (profile: SeccompProfile): string => {
  const { syscalls, ...head } = profile;
  const lines = syscalls.map((rule) => `    ${JSON.stringify(rule)}`).join(',\n');
  return `{\n  "defaultAction": ${JSON.stringify(head.defaultAction)},\n  "archMap": ${JSON.stringify(head.archMap)},\n  "syscalls": [\n${lines}\n  ]\n}\n`;
};

/** How many syscalls a profile allows, wholly or in part. */
export const countAllowed = (profile: SeccompProfile): number =>
  new Set(profile.syscalls.filter((rule) => rule.action === 'SCMP_ACT_ALLOW').flatMap((rule) => rule.names)).size;
