/** What the system says of a process: never what it says of itself. */
import { readFileSync } from 'node:fs';

/** USER_HZ, which Linux fixes for user space on the platforms that we support. */
const TICKS_PER_SECOND = 100;
const KIB_PER_MIB = 1024;

export const residentMib = (pid: number): number => {
  const found = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  if (found === null) throw new Error(`process ${pid} has no memory: it is ending`);
  return Number(found[1]) / KIB_PER_MIB;
};

/** CPU time since its start, of user and kernel, without children. */
export const cpuSeconds = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name stands in brackets and may hold blanks; utime and stime are fields 14 and 15 (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
};
