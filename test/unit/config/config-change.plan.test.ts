import { describe, expect, it } from 'vitest';
import { planConfigChange } from '../../../config/config-change.plan.ts';
import { ALL_SETTINGS } from '../../../config/settings.table.ts';
import { HEADER, valid } from './config-support.ts';

const leaves = (value: unknown, path: readonly string[] = []): readonly string[] =>
  typeof value === 'object' && value !== null
    ? Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...path, key]))
    : [path.join('.')];

const changed = (value: unknown): unknown =>
  typeof value === 'number'
    ? value + 1
    : typeof value === 'boolean'
      ? !value
      : value === null
        ? 'other'
        : `${value as string}x`;

const replaceAt = (value: unknown, path: readonly string[]): unknown => {
  const [key, ...rest] = path;
  if (key === undefined) return changed(value);
  return { ...(value as object), [key]: replaceAt((value as Record<string, unknown>)[key], rest) };
};

describe('planConfigChange', () => {
  const { config } = valid(HEADER);

  it('knows an effect for every key of the effective configuration, and no key besides', () => {
    expect(ALL_SETTINGS.map(({ effectivePath }) => effectivePath.join('.')).toSorted()).toEqual(
      [...leaves(config)].toSorted(),
    );
  });

  it('reports the change of each single key, and only that', () => {
    for (const setting of ALL_SETTINGS) {
      const after = replaceAt(config, setting.effectivePath) as typeof config;
      const plan = planConfigChange(config, after);
      expect(plan.map(({ key, effect }) => ({ key, effect }))).toEqual([
        { key: setting.key, effect: setting.leaf.effect },
      ]);
      expect(plan[0]?.before).not.toBe(plan[0]?.after);
    }
  });

  it('has nothing to do where nothing changed', () => {
    expect(planConfigChange(config, valid(`${HEADER}modules: {}\n`).config)).toEqual([]);
    expect(planConfigChange(config, valid(`${HEADER}modules: {bot: {}}\n`).config)).toEqual([]);
    const a = valid(`${HEADER}modules: {bot: {config: {a: 1, b: [1]}}}\n`).config;
    expect(planConfigChange(a, valid(`${HEADER}modules: {bot: {config: {b: [1], a: 1}}}\n`).config)).toEqual([]);
  });

  it('writes values as an operator would, in the order of the file', () => {
    const after = valid(
      `${HEADER}modules: {constructor: {config: {a: 1}}}\nlogs: {level: debug}\nengine: {host: unix:///tmp/e.sock}\npool: {memory: 1GiB}\nzones: {stable: {memory: 512MiB}, sandbox: {memory: 512MiB}}\ninstances: {callTimeout: 90s}\n`,
    ).config;
    expect(planConfigChange(config, after)).toEqual([
      { key: 'pool.memory', before: '3584MiB', after: '1GiB', effect: 'live' },
      { key: 'zones.stable.memory', before: '2150MiB', after: '512MiB', effect: 'live' },
      { key: 'zones.sandbox.memory', before: '1433MiB', after: '512MiB', effect: 'live' },
      { key: 'instances.callTimeout', before: '30s', after: '90s', effect: 'live' },
      { key: 'logs.level', before: 'info', after: 'debug', effect: 'live' },
      { key: 'engine.host', before: 'auto', after: 'unix:///tmp/e.sock', effect: 'restart' },
      { key: 'modules.constructor.config', before: '-', after: '{"a":1}', effect: 'instances' },
    ]);
  });

  it('lists the zones that a changed pool changes', () => {
    const after = valid(`${HEADER}pool: {memory: 1GiB}\n`).config;
    expect(planConfigChange(config, after).map(({ key }) => key)).toEqual([
      'pool.memory',
      'zones.stable.memory',
      'zones.sandbox.memory',
    ]);
  });
});
