/** What has to be done when the configuration changes. Pure; driven by the table of settings. */
import type { EffectiveConfig } from '../Kernel/contract/effective-config.ts';
import type { ChangeEffect } from './setting-kinds.table.ts';
import { ALL_SETTINGS, MODULE_CONFIG_EFFECT } from './settings.table.ts';

/** One changed key, with both values in their written form. */
export type ConfigChange = {
  readonly key: string;
  readonly before: string;
  readonly after: string;
  readonly effect: ChangeEffect;
};

/** A value cut for a message. */
const MAX_SHOWN = 200;

/** The value at a path of `EffectiveConfig`. */
export const effectiveValue = (config: EffectiveConfig, path: readonly string[]): unknown =>
  path.reduce<unknown>((value, key) => (value as Readonly<Record<string, unknown>> | undefined)?.[key], config);

/** A module may be named `constructor`, which every plain object seems to have. */
const moduleOf = (config: EffectiveConfig, name: string): { readonly config: unknown } | undefined =>
  Object.hasOwn(config.modules, name) ? config.modules[name] : undefined;

/** JSON with sorted keys: equal text means equal value. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  ) ?? 'null';

/** Configuration values of a module on one short line; `-` when the file names none. */
export const formatModuleConfig = (module: { readonly config: unknown } | undefined): string => {
  if (module === undefined) return '-';
  const text = canonical(module.config);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text;
};

/**
 * The keys that differ, in the order of the file, and what each takes. Compares effective values: a
 * changed pool therefore also lists the zones whose percentage of it came to another amount.
 */
export const planConfigChange = (before: EffectiveConfig, after: EffectiveConfig): readonly ConfigChange[] => {
  const settings = ALL_SETTINGS.flatMap(({ key, effectivePath, leaf }): readonly ConfigChange[] => {
    const [old, fresh] = [effectiveValue(before, effectivePath), effectiveValue(after, effectivePath)];
    return old === fresh ? [] : [{ key, before: leaf.format(old), after: leaf.format(fresh), effect: leaf.effect }];
  });
  const names = [...new Set([...Object.keys(before.modules), ...Object.keys(after.modules)])].toSorted();
  const modules = names.flatMap((name): readonly ConfigChange[] => {
    const [old, fresh] = [moduleOf(before, name), moduleOf(after, name)];
    // A module that the file does not name gets empty values, so that naming it with none changes nothing.
    if (canonical(old?.config ?? {}) === canonical(fresh?.config ?? {})) return [];
    return [
      {
        key: `modules.${name}.config`,
        before: formatModuleConfig(old),
        after: formatModuleConfig(fresh),
        effect: MODULE_CONFIG_EFFECT,
      },
    ];
  });
  return [...settings, ...modules];
};
