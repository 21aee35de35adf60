import type { OperationResult } from '../../../Kernel/contract/operations/index.ts';
import { paint, type Style, type Tone } from './style.ts';
import { displayWidth, escapeText, hang } from './text.ts';

type Doctor = OperationResult<'kernel.doctor'>;

const MARKS: Readonly<Record<Doctor['checks'][number]['status'], readonly [mark: string, tone: Tone]>> = {
  ok: ['✔', 'good'],
  warning: ['!', 'warn'],
  failed: ['✖', 'bad'],
};

/** `kernelctl doctor` for people: what was seen, and below it what to do about it. */
export const renderDoctor = (doctor: Doctor, style: Style): string[] => {
  const room = Math.max(0, ...doctor.checks.map((check) => displayWidth(escapeText(check.name))));
  const lines = doctor.checks.flatMap((check) => {
    const [mark, tone] = MARKS[check.status];
    const [first = '', ...rest] = hang(`${mark} ${escapeText(check.name).padEnd(room)}  `, check.observed, style.width);
    const remedy = check.remedy === null || check.status === 'ok' ? [] : hang('    → ', check.remedy, style.width);
    return [paint(style, tone, mark) + first.slice(mark.length), ...rest, ...remedy];
  });
  const failed = doctor.checks.filter((check) => check.status === 'failed').length;
  const warnings = doctor.checks.filter((check) => check.status === 'warning').length;
  return [...lines, '', `${doctor.checks.length} checks, ${failed} failed, ${warnings} with warnings`];
};
