/** What a measurement says, and how the table shows it. */

export type Goal = {
  readonly text: string;
  /** Null: nothing to judge, a figure for orientation, or a peer that is missing. */
  readonly reached: boolean | null;
  /** By how much the goal was reached or missed. */
  readonly margin: string;
};

export type Row = {
  readonly name: 'call' | 'boot' | 'idle';
  readonly what: string;
  readonly unit: 'ms' | '/s' | 'MiB' | '% cpu';
  readonly median: number;
  readonly p99: number | null;
  /** The peer or floor measured beside it, in the same unit. */
  readonly beside: { readonly what: string; readonly median: number } | null;
  /** Ours over the peer's. */
  readonly ratio: number | null;
  readonly goal: Goal | null;
};

type RowInput = Omit<Row, 'p99' | 'beside' | 'ratio' | 'goal'> &
  Partial<Pick<Row, 'p99' | 'beside'>> & { readonly goal?: Goal | null };

export const row = ({ p99 = null, beside = null, goal = null, ...rest }: RowInput): Row => ({
  ...rest,
  p99,
  beside,
  ratio: beside === null || beside.median === 0 ? null : rest.median / beside.median,
  goal,
});

const times = (factor: number): string => `${factor < 0.1 ? factor.toPrecision(2) : factor.toFixed(2)}x`;

/** Reached when `value` is at most `limit`. */
export const atMost = (text: string, value: number, limit: number): Goal => ({
  text,
  reached: value <= limit,
  margin: value <= limit ? `${times(limit / value)} to spare` : `${times(value / limit)} over`,
});

/** Reached when `value` is at least `limit`. */
export const atLeast = (text: string, value: number, limit: number): Goal => ({
  text,
  reached: value >= limit,
  margin: value >= limit ? `${times(value / limit)} of it` : `${times(limit / value)} short`,
});

export const missing = (text: string, why: string): Goal => ({ text, reached: null, margin: why });

const figure = (value: number | null): string => {
  if (value === null) return '';
  if (value >= 1000) return value.toFixed(0);
  return value.toFixed(value >= 100 ? 1 : value >= 1 ? 2 : 4);
};

const VERDICTS = { true: 'yes', false: 'no', null: '-' } as const;

const HEAD = ['name', 'what', 'unit', 'median', 'p99', 'beside', 'median', 'ratio', 'goal', 'reached', 'by'];

export const renderTable = (rows: readonly Row[]): string => {
  const cells = rows.map(({ name, what, unit, median, p99, beside, ratio, goal }) => [
    name,
    what,
    unit,
    figure(median),
    figure(p99),
    beside?.what ?? '',
    figure(beside?.median ?? null),
    ratio === null ? '' : times(ratio),
    goal?.text ?? '',
    goal === null ? '' : VERDICTS[`${goal.reached}`],
    goal?.margin ?? '',
  ]);
  const all = [HEAD, ...cells];
  const widths = HEAD.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  return all
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
};
