import { describe, expect, it } from 'vitest';
import { ALLOWLISTS } from '../../../../zones/seccomp/allowlists.ts';
import { DENY_TABLE } from '../../../../zones/seccomp/deny-table.ts';
import { parseTrace, planProposals } from '../../../../zones/seccomp/trace.plan.ts';

const trace = `101 execve("/usr/bin/node", ["node"], 0x7ffc /* 9 vars */) = 0
101 clone3({flags=CLONE_VM}, 88 <unfinished ...>
101 <... clone3 resumed> => {parent_tid=[102]}, 88) = 102
102 fcntl(3, F_SETLK, {l_type=F_RDLCK}) = 0
102 read(3, "x", 1) = 1
102 read(3, "", 1) = 0
102 msync(0x7f00, 4096, MS_SYNC) = 0
--- SIGCHLD {si_signo=SIGCHLD} ---
+++ exited with 0 +++
`;

describe('a trace', () => {
  it('is counted by syscall, each call once', () => {
    expect(parseTrace(trace)).toEqual([
      { name: 'read', calls: 2 },
      { name: 'clone3', calls: 1 },
      { name: 'execve', calls: 1 },
      { name: 'fcntl', calls: 1 },
      { name: 'msync', calls: 1 },
    ]);
  });

  it('only proposes: what the deny table names stays denied', () => {
    const verdicts = planProposals(parseTrace(trace), ALLOWLISTS.sandbox, DENY_TABLE).map(({ name, verdict }) => [
      name,
      verdict,
    ]);
    expect(verdicts).toEqual([
      ['read', 'allowed'],
      ['clone3', 'denied'],
      ['execve', 'allowed'],
      ['fcntl', 'narrowed'],
      ['msync', 'new'],
    ]);
  });
});
