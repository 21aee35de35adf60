/** What the tests of the configuration share. */
import { readFileSync } from 'node:fs';
import type { EffectiveConfig } from '../../../Kernel/contract/effective-config.ts';
import { formatIssues } from '../../../config/config-issue.ts';
import { parseKernelConfig } from '../../../config/parse-config.ts';
import type { ConfigSources, ParsedConfig } from '../../../config/parse-config.ts';

export const GIB = 1024 ** 3;
export const MACHINE = { memoryBytes: 4 * GIB, cpus: 2 };
export const HEADER = 'apiVersion: kerneld/v1\n';
export const SHIPPED = readFileSync(new URL('../../../config/kernel.yaml', import.meta.url), 'utf8');

export const parse = (text: string, machine = MACHINE): ParsedConfig =>
  parseKernelConfig({ text, file: 'kernel.yaml', machine });

/** The printed issues, one a line; empty when the text is valid. */
export const issuesOf = (text: string, machine = MACHINE): readonly string[] => {
  const parsed = parse(text, machine);
  return parsed.ok ? [] : formatIssues(parsed.issues).split('\n');
};

export const valid = (
  text: string,
  machine = MACHINE,
): { readonly config: EffectiveConfig; readonly sources: ConfigSources } => {
  const parsed = parse(text, machine);
  if (!parsed.ok) throw new Error(formatIssues(parsed.issues));
  return parsed;
};
