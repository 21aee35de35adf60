/** The allowlists of the two zones: what is common, and what differs. */
import { COMMON_ALLOWLIST } from './allow-common.ts';
import type { ZoneAllowlists } from './profile.types.ts';
import { SANDBOX_ONLY, ZONE_DIFFERENCES } from './zone-differences.ts';

export const ALLOWLISTS: ZoneAllowlists = {
  stable: [...COMMON_ALLOWLIST, ...ZONE_DIFFERENCES.flatMap((difference) => difference.rows)],
  sandbox: [...COMMON_ALLOWLIST, ...SANDBOX_ONLY],
};
