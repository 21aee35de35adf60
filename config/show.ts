/** The effective configuration as rows for people: each value, and where it comes from. Pure. */
import type { EffectiveConfig } from '../Kernel/contract/effective-config.ts';
import { effectiveValue, formatModuleConfig } from './config-change.plan.ts';
import type { ConfigSource, ConfigSources } from './parse-config.ts';
import { ALL_SETTINGS } from './settings.table.ts';

export type ConfigRow = { readonly key: string; readonly value: string; readonly from: string };

const placeOf = (source: ConfigSource | undefined, file: string): string =>
  source?.line === undefined ? 'default' : `${source.kept?.file ?? file}:${source.line}`;

/** A line of a file that has been written anew since names another text: said, so that nobody looks there. */
const untilRestart = (source: ConfigSource | undefined): string =>
  source?.kept === undefined ? '' : ', until a restart';

const describeSource = (source: ConfigSource | undefined, shown: string, file: string): string => {
  const place = placeOf(source, file);
  const written = source === undefined ? shown : String(source.value);
  if (source?.from === 'machine') return source.line === undefined ? 'machine' : `machine (auto, ${place})`;
  return written === shown ? place : `${place} (${written})`;
};

/**
 * Every setting with its effective value in written form and its origin: `kernel.yaml:12`, `default` or
 * `machine`; where the value was worked out, what was written follows in brackets. A value that a reload could
 * not change names the line it was read from, `until a restart`.
 */
export const describeConfig = (input: {
  readonly config: EffectiveConfig;
  readonly sources: ConfigSources;
  readonly file: string;
}): readonly ConfigRow[] => {
  const rows = ALL_SETTINGS.map(({ key, effectivePath, leaf }): ConfigRow => {
    const value = leaf.format(effectiveValue(input.config, effectivePath));
    const source = input.sources.get(key);
    return { key, value, from: `${describeSource(source, value, input.file)}${untilRestart(source)}` };
  });
  const modules = Object.keys(input.config.modules)
    .toSorted()
    .map((name): ConfigRow => {
      const key = `modules.${name}.config`;
      const value = formatModuleConfig(input.config.modules[name]);
      return { key, value, from: placeOf(input.sources.get(key), input.file) };
    });
  return [...rows, ...modules];
};
