import type { KernelError } from '../../../Kernel/contract/errors.ts';
import { spanText } from './quantity.ts';
import { paint, type Style } from './style.ts';
import { hang } from './text.ts';

const MOST_ISSUES = 20;

/** As mistakes in a manifest, in kernel.yaml and in parameters are told; every part may be missing. */
type Issue = {
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly path?: string;
  readonly message?: string;
  readonly expected?: string;
  readonly suggestion?: string;
};

/** `config check` tells it in the same words. */
const meantLines = (issue: Issue | null, style: Style): string[] =>
  typeof issue?.suggestion === 'string' ? hang('    did you mean ', issue.suggestion, style.width) : [];

/** What an error lists, as every mistake in a manifest; of one alone the message tells all but what was meant. */
const issueLines = (error: KernelError, style: Style): string[] => {
  const { issues } = error.context;
  if (!Array.isArray(issues)) return [];
  if (issues.length < 2) return issues.flatMap((issue: Issue | null) => meantLines(issue, style));
  const shown = issues.slice(0, MOST_ISSUES).flatMap((issue: Issue | null) => {
    const place = [issue?.file, issue?.line, issue?.column].filter((part) => part !== undefined).join(':');
    const what = issue?.message ?? issue?.expected;
    const said = [place, issue?.path, what].filter((part) => part !== undefined && part !== '').join(': ');
    return [...hang('  ', said, style.width), ...meantLines(issue, style)];
  });
  return issues.length > MOST_ISSUES ? [...shown, `  and ${issues.length - MOST_ISSUES} more`] : shown;
};

/** A failure for people: what happened with its code, then what to do. Never a stack. */
export const renderError = (error: KernelError, style: Style): string[] => {
  const code = error.code === 'USAGE' ? '' : ` (${error.code})`;
  const [first = '', ...rest] = hang('kernelctl: ', `${error.message}${code}`, style.width);
  const again = error.retryAfterMs === undefined ? null : `Try again in ${spanText(error.retryAfterMs)}.`;
  const remedy = [error.remedy, again].filter((part) => part != null).join(' ');
  return [
    paint(style, 'bad', 'kernelctl:') + first.slice('kernelctl:'.length),
    ...rest,
    ...issueLines(error, style),
    ...(remedy === '' ? [] : hang('  ', remedy, style.width)),
  ];
};
