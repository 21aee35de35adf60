/** Text as it may reach a terminal: nothing in it moves the cursor, and its width is known. */

/**
 * Control, format and surrogate characters and line separators. Module output is hostile: an escape sequence could
 * rewrite what was printed before, a bidirectional override could show a line in another order than it has.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

const escapeOne = (character: string): string => {
  const code = character.codePointAt(0) ?? 0;
  if (code === 0x0a) return '\\n';
  if (code === 0x09) return '\\t';
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
};

/** Makes every unsafe character visible: ESC becomes `\x1b`. */
export const escapeText = (text: string): string => text.replace(UNSAFE, escapeOne);

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u;
const ASCII = /^[\x20-\x7e]*$/;
let segmenter: Intl.Segmenter | undefined;

const graphemes = (text: string): string[] => {
  if (ASCII.test(text)) return text.split('');
  segmenter ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  return Array.from(segmenter.segment(text), (part) => part.segment);
};
const graphemeWidth = (grapheme: string): number => (WIDE.test(grapheme) ? 2 : 1);

/** Columns that text without control characters takes. */
export const displayWidth = (text: string): number =>
  ASCII.test(text) ? text.length : graphemes(text).reduce((sum, grapheme) => sum + graphemeWidth(grapheme), 0);

/** The longest head that fits `width` columns. */
const head = (text: string, width: number): string => {
  if (ASCII.test(text)) return text.slice(0, width);
  let used = 0;
  let result = '';
  for (const grapheme of graphemes(text)) {
    used += graphemeWidth(grapheme);
    if (used > width) break;
    result += grapheme;
  }
  return result;
};

/** Shortens text to `width` columns, with `…` in the place of what is missing. */
export const cut = (text: string, width: number): string =>
  displayWidth(text) <= width ? text : `${head(text, Math.max(0, width - 1))}…`;

/** Breaks text at blanks into lines of at most `width` columns; a longer word is broken where it must. */
export const wrap = (text: string, width: number): string[] => {
  const limit = Math.max(8, width);
  if (displayWidth(text) <= limit) return [text];
  const lines: string[] = [];
  let line: string | null = null;
  for (let word of text.split(/(?<=\S) +(?=\S)/)) {
    const joined: string = line === null ? word : `${line} ${word}`;
    if (displayWidth(joined) <= limit) {
      line = joined;
      continue;
    }
    if (line !== null) lines.push(line);
    for (; displayWidth(word) > limit; word = word.slice(head(word, limit).length)) lines.push(head(word, limit));
    line = word;
  }
  return line === null ? lines : [...lines, line];
};

const WIDEST_INDENT = 32;
const NARROW_INDENT = '    ';

/** Escaped text behind a first prefix; its further lines are indented to the same column, or a little after a long one. */
export const hang = (prefix: string, text: string, width: number): string[] => {
  const safe = escapeText(text);
  const room = displayWidth(prefix);
  if (room <= WIDEST_INDENT) {
    return wrap(safe, width - room).map((line, at) => (at === 0 ? prefix : ' '.repeat(room)) + line);
  }
  return wrap(prefix + safe, width - NARROW_INDENT.length).map((line, at) => (at === 0 ? line : NARROW_INDENT + line));
};
