/** Which paths a file of a module may have. */

/** Longest path of a file inside an artifact, in bytes. */
export const MAX_PATH_BYTES = 200;
/** What an entry may be called before it is packed; packed, it is `.mjs`. */
export const ENTRY_EXTENSIONS = /\.(?:mjs|js|mts|ts)$/;

/**
 * Says what is wrong with a path inside a module, or null.
 *
 * An allowlist of ASCII ends every game with look-alikes, direction marks, normal forms and control
 * characters at once, here and in every terminal that later prints the name.
 */
export const findPathFault = (path: string): string | null => {
  if (path.length === 0) return 'the path is empty';
  if (path.length > MAX_PATH_BYTES) return `the path is longer than ${MAX_PATH_BYTES} bytes`;
  if (path.startsWith('/')) return 'the path is absolute';
  for (const segment of path.split('/')) {
    if (segment === '') return 'the path has an empty segment';
    if (segment === '.' || segment === '..') return 'the path has a segment . or ..';
    if (segment.length > 100) return 'a segment of the path is longer than 100 bytes';
    if (!/^[A-Za-z0-9._+@-]+$/.test(segment)) return 'the path has a character other than A-Z a-z 0-9 . _ + @ -';
  }
  return null;
};
