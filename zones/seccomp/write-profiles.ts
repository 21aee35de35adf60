/** Writes `config/seccomp/<zone>.json` from the tables: `node zones/seccomp/write-profiles.ts`. A unit test fails while they differ. */
import { writeFile } from 'node:fs/promises';
import { ZONE_NAMES } from '../../Kernel/contract/ids.ts';
import { ALLOWLISTS } from './allowlists.ts';
import { compileProfile, countAllowed, formatProfile } from './compile.plan.ts';
import { DENY_TABLE } from './deny-table.ts';

for (const zone of ZONE_NAMES) {
  const profile = compileProfile(ALLOWLISTS[zone], DENY_TABLE);
  const file = new URL(`../../config/seccomp/${zone}.json`, import.meta.url);
  await writeFile(file, formatProfile(profile));
  process.stdout.write(`${zone}: ${countAllowed(profile)} syscalls allowed\n`);
}
