import { paint, type Style, type Tone } from './style.ts';
import { cut, displayWidth, escapeText, wrap } from './text.ts';

export type Cell = string | { readonly text: string; readonly tone: Tone };
/** `shrink`: may be cut when the row is wider than the terminal, the widest first. */
export type Column = { readonly title: string; readonly align?: 'right'; readonly shrink?: true };

const GAP = '  ';
const MIN_WIDTH = 6;

const textOf = (cell: Cell): string => escapeText(typeof cell === 'string' ? cell : cell.text);

const fit = (columns: readonly Column[], natural: readonly number[], room: number): number[] => {
  const widths = [...natural];
  const total = () => widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1));
  for (let excess = total() - room; excess > 0; excess = total() - room) {
    let widest = -1;
    columns.forEach((column, at) => {
      if (column.shrink && (widths[at] ?? 0) > MIN_WIDTH && (widths[at] ?? 0) > (widths[widest] ?? 0)) widest = at;
    });
    if (widest < 0) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
};

/** Aligned rows under their titles, each at most as wide as the terminal. */
export const table = (style: Style, columns: readonly Column[], rows: readonly (readonly Cell[])[]): string[] => {
  const natural = columns.map((column, at) =>
    Math.max(displayWidth(column.title), ...rows.map((row) => displayWidth(textOf(row[at] ?? '')))),
  );
  const widths = fit(columns, natural, style.width);
  const line = (cells: readonly Cell[]): string =>
    columns
      .map((column, at) => {
        const cell = cells[at] ?? '';
        const text = cut(textOf(cell), widths[at] ?? 0);
        const pad = ' '.repeat(Math.max(0, (widths[at] ?? 0) - displayWidth(text)));
        const painted = paint(style, typeof cell === 'string' ? undefined : cell.tone, text);
        return column.align === 'right' ? pad + painted : painted + pad;
      })
      .join(GAP)
      .trimEnd();
  return [line(columns.map((column) => ({ text: column.title, tone: 'dim' as const }))), ...rows.map(line)];
};

/** Names on the left, wrapped values on the right; an entry without a value is left out. */
export const fields = (style: Style, entries: readonly (readonly [name: string, value: Cell | null])[]): string[] => {
  const shown = entries.filter((entry): entry is readonly [string, Cell] => entry[1] !== null);
  const indent = Math.max(0, ...shown.map(([name]) => displayWidth(name))) + GAP.length;
  return shown.flatMap(([name, cell]) =>
    wrap(textOf(cell), style.width - indent).map(
      (text, at) =>
        paint(style, 'dim', (at === 0 ? name : '').padEnd(indent)) +
        paint(style, typeof cell === 'string' ? undefined : cell.tone, text),
    ),
  );
};
