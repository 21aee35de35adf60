/** Who on this machine has user ids of the range: accounts, subordinate ranges, and the engine's own mapping. */
import { readFile } from 'node:fs/promises';
import { KernelError } from '../../Kernel/contract/errors.ts';
import { findConflicts } from './uid-lease.verdict.ts';
import type { UidClaim, UidRange } from './uid-lease.verdict.ts';

export type HostUidSources = {
  /** Paths, `/etc/passwd` and `/etc/subuid` unless a test says otherwise. */
  readonly passwdPath?: string;
  readonly subuidPath?: string;
};

/** An account's id: /etc/passwd, third field. Lines of another form are skipped, as the system does. */
export const parsePasswd = (text: string): readonly UidClaim[] =>
  text.split('\n').flatMap((line) => {
    const [name, , uid] = line.split(':');
    if (name === undefined || uid === undefined || !/^[0-9]+$/.test(uid)) return [];
    return [{ first: Number(uid), last: Number(uid), by: `account ${name}` }];
  });

/** A subordinate range: /etc/subuid, `name:first:count` (subuid(5)). */
export const parseSubuid = (text: string): readonly UidClaim[] =>
  text.split('\n').flatMap((line) => {
    const [name, first, count] = line.split(':');
    if (name === undefined || first === undefined || count === undefined) return [];
    if (!/^[0-9]+$/.test(first) || !/^[0-9]+$/.test(count) || Number(count) === 0) return [];
    return [{ first: Number(first), last: Number(first) + Number(count) - 1, by: `subordinate ids of ${name}` }];
  });

/** Everything that the machine has given to somebody. A missing file claims nothing. */
export const readHostUids = async (sources: HostUidSources = {}): Promise<readonly UidClaim[]> => {
  const [passwd, subuid] = await Promise.all([
    readFile(sources.passwdPath ?? '/etc/passwd', 'utf8').catch(missing),
    readFile(sources.subuidPath ?? '/etc/subuid', 'utf8').catch(missing),
  ]);
  return [...parsePasswd(passwd), ...parseSubuid(subuid)];
};

const missing = (error: NodeJS.ErrnoException): string => {
  if (error.code === 'ENOENT') return '';
  throw new KernelError('UID_UNAVAILABLE', `the user ids of this machine cannot be read: ${error.message}`, {
    cause: error,
  });
};

/**
 * Names who has ids of the range. With user-namespace remapping the ids of instances are those inside the engine's
 * map, so the host's accounts do not matter, but the map (65536 ids as a rule) must reach as far as the range.
 *
 * @throws KernelError `UID_UNAVAILABLE` with a remedy
 */
export const checkUidRange = (
  range: UidRange,
  claims: readonly UidClaim[],
  engine: { readonly usernsRemap: boolean },
): void => {
  if (engine.usernsRemap) {
    if (range.last < REMAP_COUNT) return;
    throw new KernelError(
      'UID_UNAVAILABLE',
      `the engine maps user ids (userns-remap), and ${range.first} to ${range.last} lie outside its map`,
      {
        context: { range, mapped: REMAP_COUNT },
        remedy: 'set instances.uidRange in kernel.yaml to a range below 65536, as 40000 to 40999',
      },
    );
  }
  const conflicts = findConflicts(range, claims);
  if (conflicts.length === 0) return;
  const named = conflicts
    .slice(0, 5)
    .map((claim) =>
      claim.first === claim.last ? `${claim.first} (${claim.by})` : `${claim.first}-${claim.last} (${claim.by})`,
    );
  const more = conflicts.length > 5 ? ` and ${conflicts.length - 5} more` : '';
  throw new KernelError(
    'UID_UNAVAILABLE',
    `user ids from ${range.first} to ${range.last} are taken: ${named.join(', ')}${more}`,
    {
      context: { range, conflicts: conflicts.slice(0, 20) },
      remedy: 'set instances.uidRange in kernel.yaml to a range that no account and no line of /etc/subuid has',
    },
  );
};

/** Size of the map that dockerd makes from /etc/subuid for its remap user. */
const REMAP_COUNT = 65_536;

/** The claims as a question, for whoever leases uids one by one. */
export const reservedUids = (range: UidRange, claims: readonly UidClaim[]): ((uid: number) => boolean) => {
  const conflicts = findConflicts(range, claims);
  return (uid) => conflicts.some((claim) => uid >= claim.first && uid <= claim.last);
};
