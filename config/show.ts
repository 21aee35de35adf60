/** The effective configuration as rows for people: each value, and where it comes from. Pure. */
import type { EffectiveConfig } from '../Kernel/contract/effective-config.ts';
import { effectiveValue, formatModuleConfig } from './config-change.plan.ts';
import type { ConfigSource, ConfigSources } from './parse-config.ts';
import { ALL_SETTINGS } from './settings.table.ts';

export type ConfigRow = { readonly key: string; readonly value: string; readonly from: string };

const describeSource = (source: ConfigSource | undefined, shown: string, file: string): string => {
  const place = source?.line === undefined ? 'default' : `${file}:${source.line}`;
  const written = source === undefined ? shown : String(source.value);
  if (source?.from === 'machine') return source.line === undefined ? 'machine' : `machine (auto, ${place})`;
  return written === shown ? place : `${place} (${written})`;
};

/**
 * Every setting with its effective value in written form and its origin: `kernel.yaml:12`, `default` or
 * `machine`; where the value was worked out, what was written follows in brackets.
 */
export const describeConfig = (input: {
  readonly config: EffectiveConfig;
  readonly sources: ConfigSources;
  readonly file: string;
}): readonly ConfigRow[] => {
  const rows = ALL_SETTINGS.map(({ key, effectivePath, leaf }): ConfigRow => {
    const value = leaf.format(effectiveValue(input.config, effectivePath));
    return { key, value, from: describeSource(input.sources.get(key), value, input.file) };
  });
  const modules = Object.keys(input.config.modules)
    .toSorted()
    .map((name): ConfigRow => {
      const key = `modules.${name}.config`;
      const value = formatModuleConfig(input.config.modules[name]);
      const line = input.sources.get(key)?.line;
      return { key, value, from: line === undefined ? 'default' : `${input.file}:${line}` };
    });
  return [...rows, ...modules];
};
