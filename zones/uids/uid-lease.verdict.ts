/** Which uids of the range may be given to an instance, and which is next. */

export type UidRange = { readonly first: number; readonly last: number };

/** Uids that belong to somebody else, each with who. Ranges include both ends. */
export type UidClaim = UidRange & { readonly by: string };

/** Claims that reach into the range. */
export const findConflicts = (range: UidRange, claims: readonly UidClaim[]): readonly UidClaim[] =>
  claims.filter((claim) => claim.first <= range.last && claim.last >= range.first);

export type UidChoice = { readonly ok: true; readonly uid: number } | { readonly ok: false; readonly reason: string };

/**
 * The next free uid after `after` (null: from the start), going round. A uid that was just freed rests longest:
 * whatever its last holder left behind has the most time to be swept. `taken` joins what is leased on the engine,
 * held by this home, or claimed on the machine.
 */
export const chooseUid = (range: UidRange, taken: (uid: number) => boolean, after: number | null): UidChoice => {
  const count = range.last - range.first + 1;
  const start = after === null || after < range.first || after >= range.last ? range.first : after + 1;
  for (let step = 0; step < count; step += 1) {
    const uid = range.first + ((start - range.first + step) % count);
    if (!taken(uid)) return { ok: true, uid };
  }
  return { ok: false, reason: `all user ids from ${range.first} to ${range.last} are in use` };
};
