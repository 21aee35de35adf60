import type { OperationResult } from '../../../Kernel/contract/operations/index.ts';
import { paint, type Style } from './style.ts';
import { fields, table, type Cell } from './table.ts';
import { escapeText, hang, wrap } from './text.ts';

type Check = OperationResult<'config.check'>;
type Change = Check['changes'][number];

const effectOf = (change: Change): Cell => {
  if (change.applied) {
    return { text: change.effect === 'instances' ? 'applied, instances replaced' : 'applied', tone: 'good' };
  }
  if (change.effect === 'live') return { text: 'applies live', tone: 'good' };
  return { text: change.effect === 'instances' ? 'needs instances replaced' : 'needs a restart', tone: 'warn' };
};

/** What changes between the configuration in force and the file. */
export const renderChanges = (changes: readonly Change[], style: Style): string[] =>
  changes.length === 0
    ? ['no changes']
    : table(
        style,
        [
          { title: 'KEY', shrink: true },
          { title: 'BEFORE', shrink: true },
          { title: 'AFTER', shrink: true },
          { title: 'EFFECT' },
        ],
        changes.map((change) => [change.key, change.before, change.after, effectOf(change)]),
      );

/** `config check` for people: every mistake with its place, what was expected and what was probably meant. */
export const renderCheck = (check: Check, style: Style): string[] =>
  check.ok
    ? [
        ...wrap(`${escapeText(check.file)}: ok`, style.width),
        ...(check.changes.length === 0 ? [] : ['', ...renderChanges(check.changes, style)]),
      ]
    : [
        ...check.issues.flatMap((issue) => [
          ...hang(
            '',
            `${issue.file}:${issue.line}:${issue.column}: ${issue.path === '' ? '' : `${issue.path}: `}${issue.message}`,
            style.width,
          ).map((line) => paint(style, 'bad', line)),
          ...(issue.expected === '' ? [] : hang('    expected ', issue.expected, style.width)),
          ...(issue.suggestion === undefined ? [] : hang('    did you mean ', issue.suggestion, style.width)),
        ]),
        '',
        `${check.issues.length} ${check.issues.length === 1 ? 'mistake' : 'mistakes'}`,
      ];

/** `config show` for people; the file is named once, above. */
export const renderConfig = (config: OperationResult<'config.show'>, style: Style): string[] => [
  ...fields(style, [['file', config.file]]),
  '',
  ...table(
    style,
    [
      { title: 'KEY', shrink: true },
      { title: 'VALUE', shrink: true },
      { title: 'FROM', shrink: true },
    ],
    config.values.map((entry) => [entry.key, entry.value, entry.from.replaceAll(`${config.file}:`, 'line ')]),
  ),
];
