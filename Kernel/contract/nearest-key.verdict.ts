/** Finds what was probably meant, for "did you mean". Pure. */

/** Longer words are not compared: the cost grows with the square, and the file is not trusted. */
const MAX_LENGTH = 64;

/** Edits (insert, delete, replace, swap of neighbours) between two words. */
export const editDistance = (a: string, b: string): number => {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, replaced);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
};

const plain = (word: string): string =>
  word
    .toLowerCase()
    .replace(/[-_\s]/g, '')
    .replace(/(?:bytes|seconds|millis|ms|mb|mib)$/, '');

/**
 * The known word nearest to `written`, or undefined when none is near enough to be meant.
 * `max_instances`, `memoryBytes` and `startTimeoutMs` find `maxInstances`, `memory` and `startTimeout`.
 */
export const nearestKey = (written: string, known: readonly string[]): string | undefined => {
  if (written.length > MAX_LENGTH) return undefined;
  let best: { readonly word: string; readonly distance: number } | undefined;
  for (const word of known) {
    const distance = plain(written) === plain(word) ? 0 : editDistance(written.toLowerCase(), word.toLowerCase());
    const near = distance <= Math.max(1, Math.floor(Math.max(word.length, written.length) / 3));
    if (near && (best === undefined || distance < best.distance)) best = { word, distance };
  }
  return best?.word;
};
