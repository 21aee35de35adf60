/** Events and log lines: what comes one after the other. */
import type { KernelEvent, LogLine } from '../../../Kernel/contract/operations/shapes.ts';
import { timeText } from './quantity.ts';
import { paint, toneOf, type Style } from './style.ts';
import { escapeText, hang, wrap } from './text.ts';

const severityTone = (severity: string) => (severity === 'info' || severity === 'debug' ? undefined : toneOf(severity));

/** One event. */
export const renderEvent = (event: KernelEvent, style: Style): string[] => {
  const place = [event.zone, event.module, event.instance].filter((part) => part !== undefined).join('/');
  const text = `${event.kind}${place === '' ? '' : ` ${place}`}: ${event.reason}${event.code === undefined ? '' : ` (${event.code})`}`;
  const prefix = `${timeText(event.at)} ${event.severity.padEnd(8)} `;
  return hang(prefix, text, style.width).map((line) => paint(style, severityTone(event.severity), line));
};

/**
 * One record of a module's output, wrapped on a terminal only (`width` null: as long as it is, for `grep`).
 * Lines of one record after the first are indented, so that no module can forge the beginning of a record.
 */
export const renderLogLine = (line: LogLine, style: Style, width: number | null): string[] => {
  const label = line.stream === 'log' ? line.level : line.stream;
  const prefix = `${escapeText(timeText(line.at))} ${escapeText(label).padEnd(6)} `;
  const indent = ' '.repeat(prefix.length);
  const tone = line.stream === 'stderr' || line.stream === 'kernel' ? 'warn' : severityTone(line.level);
  return line.text
    .replace(/\r?\n$/, '')
    .split(/\r?\n/)
    .map((text) => escapeText(text.replaceAll('\t', '    ')))
    .flatMap((text) => (width === null ? [text] : wrap(text, width - indent.length)))
    .map((text, at) => `${at === 0 ? paint(style, 'dim', prefix) : indent}${paint(style, tone, text)}`.trimEnd());
};
