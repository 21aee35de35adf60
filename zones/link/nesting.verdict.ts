/**
 * Tells whether a JSON text nests deeper than allowed, before it is parsed.
 *
 * Attack: 1 MiB of `[` costs the sender nothing and leaves the kernel with a value that overflows the
 * stack of whatever walks it recursively (JSON.stringify, a schema, a comparison). Counting brackets
 * outside strings needs no stack and, by bytes, about a nanosecond each; strings are skipped natively.
 * A malformed text may be judged either way: the parser refuses it afterwards.
 */
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Index just behind the string that begins at `start`; the text's length when it never ends. */
const skipString = (text: Uint8Array, start: number): number => {
  let index = start + 1;
  for (;;) {
    const quote = text.indexOf(QUOTE, index);
    if (quote === -1) return text.length;
    let backslashes = 0;
    while (quote - 1 - backslashes >= index && text[quote - 1 - backslashes] === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return quote + 1;
    // An escaped quote: the backslashes counted belong to it, so the search goes on behind them.
    index = quote + 1;
  }
};

/** True when arrays and objects in `text` (UTF-8) nest deeper than `maxDepth`. */
export const nestsDeeperThan = (text: Uint8Array, maxDepth: number): boolean => {
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    const byte = text[index];
    if (byte === QUOTE) {
      index = skipString(text, index) - 1;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth += 1;
      if (depth > maxDepth) return true;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth -= 1;
    }
  }
  return false;
};
