/** One thing that is wrong in kernel.yaml, and how it is printed. */
import { toAscii } from './setting-kinds.table.ts';

/** Lines and columns count from 1. `suggestion` is what was probably meant. */
export type ConfigIssue = {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Key with its parents, as `zones.stable.memory`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  readonly expected: string;
  readonly suggestion?: string;
};

/** More than these are counted, not listed. */
export const MAX_ISSUES = 100;

const PLAIN_SEGMENT = /^[A-Za-z0-9_-]{1,64}$/;

/** Writes a path; a key that is not a plain word is quoted, escaped and cut, as it comes from the file. */
export const formatPath = (path: readonly PropertyKey[]): string =>
  path
    .map((segment) => String(segment))
    .map((segment) => (PLAIN_SEGMENT.test(segment) ? segment : toAscii(JSON.stringify(segment.slice(0, 64)))))
    .join('.');

/** One line an issue: `kernel.yaml:12:7  zones.stable.memroy: unknown key; did you mean "memory"?` */
export const formatIssue = (issue: ConfigIssue): string => {
  const what = issue.path === '' ? issue.message : `${issue.path}: ${issue.message}`;
  const hint =
    issue.suggestion === undefined ? `expected ${issue.expected}` : `did you mean ${JSON.stringify(issue.suggestion)}?`;
  return `${issue.file}:${issue.line}:${issue.column}  ${what}; ${hint}`;
};

/** All issues, one line each. */
export const formatIssues = (issues: readonly ConfigIssue[]): string => issues.map(formatIssue).join('\n');

/** By position, then by path; without repetitions; at most `MAX_ISSUES` and one line that counts the rest. */
export const orderIssues = (issues: readonly ConfigIssue[]): readonly ConfigIssue[] => {
  const sorted = issues.toSorted(
    (a, b) => a.line - b.line || a.column - b.column || (a.path < b.path ? -1 : a.path > b.path ? 1 : 0),
  );
  const seen = new Set<string>();
  const unique = sorted.filter((issue) => {
    const text = formatIssue(issue);
    return seen.has(text) ? false : seen.add(text);
  });
  const last = unique[MAX_ISSUES];
  if (last === undefined) return unique;
  const rest = unique.length - MAX_ISSUES;
  return [
    ...unique.slice(0, MAX_ISSUES),
    {
      ...last,
      path: '',
      message: `${rest} more problems from here on`,
      expected: 'the problems above to be solved first',
      suggestion: undefined,
    },
  ].map(({ suggestion, ...issue }) => (suggestion === undefined ? issue : { ...issue, suggestion }));
};
