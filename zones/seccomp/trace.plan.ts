/** What a trace of strace says about an allowlist. It only proposes: the deny table is never touched by what was seen. */
import type { AllowRow, DenyTable } from './profile.types.ts';

export type SeenSyscall = { readonly name: string; readonly calls: number };
export type Proposal = SeenSyscall & {
  /** `narrowed`: some calls of it are allowed, by their arguments: look at those in the trace. */
  readonly verdict: 'allowed' | 'narrowed' | 'denied' | 'new';
  readonly why: string;
};

/** Counts syscalls in the output of `strace -f`: `PID name(args) = result`, resumed halves not counted twice. */
export const parseTrace = (text: string): readonly SeenSyscall[] => {
  const counts = new Map<string, number>();
  for (const line of text.split('\n')) {
    const name = /^(?:\d+\s+)?([a-z_][a-z0-9_]*)\(/.exec(line)?.[1];
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts]
    .map(([name, calls]) => ({ name, calls }))
    .sort((a, b) => b.calls - a.calls || (a.name < b.name ? -1 : 1));
};

export const planProposals = (
  seen: readonly SeenSyscall[],
  allowlist: readonly AllowRow[],
  deny: DenyTable,
): readonly Proposal[] =>
  seen.map((one) => {
    const denied = deny.never.find((row) => row.syscall === one.name);
    if (denied !== undefined) return { ...one, verdict: 'denied', why: `${denied.errno}: ${denied.why}` };
    const rows = allowlist.filter((row) => row.names.includes(one.name));
    if (rows.length === 0)
      return { ...one, verdict: 'new', why: 'works without? then leave it out; else add a row with its reason' };
    const only = deny.only.find((row) => row.syscall === one.name);
    const narrowed = only !== undefined || rows.every((row) => row.args !== undefined);
    return { ...one, verdict: narrowed ? 'narrowed' : 'allowed', why: rows.map((row) => row.why).join('; ') };
  });
