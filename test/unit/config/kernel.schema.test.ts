import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { kernelJsonSchema, kernelJsonSchemaText, kernelSchema } from '../../../config/kernel.schema.ts';
import { ALL_SETTINGS } from '../../../config/settings.table.ts';
import { SHIPPED } from './config-support.ts';

describe('the JSON Schema for editors', () => {
  it('is the committed file; run config/emit-schema.ts after a change', () => {
    const committed = readFileSync(new URL('../../../config/kernel.schema.json', import.meta.url), 'utf8');
    expect(committed).toBe(kernelJsonSchemaText());
  });

  it('accepts the shipped file and refuses what the kernel refuses', () => {
    const editor = z.fromJSONSchema(kernelJsonSchema() as never);
    const shipped = parseYaml(SHIPPED) as Record<string, unknown>;
    expect(editor.safeParse(shipped).success).toBe(true);
    for (const broken of [
      {},
      { ...shipped, extra: 1 },
      { ...shipped, pool: { memory: '1GB' } },
      { ...shipped, logs: { level: 'loud' } },
    ]) {
      expect(editor.safeParse(broken).success).toBe(false);
      expect(kernelSchema.safeParse(broken).success).toBe(false);
    }
  });

  it('explains every key', () => {
    const unexplained = (schema: { properties?: Record<string, object> }, path: string): readonly string[] =>
      Object.entries(schema.properties ?? {}).flatMap(([key, child]) => {
        const inner = unexplained(child, `${path}${key}.`);
        return (child as { description?: string }).description ? inner : [`${path}${key}`, ...inner];
      });
    expect(unexplained(kernelJsonSchema(), '')).toEqual([]);
  });
});

describe('the shipped file', () => {
  it('points editors to the schema in its first line', () => {
    expect(SHIPPED.split('\n')[0]).toBe('# yaml-language-server: $schema=./kernel.schema.json');
  });

  it('names every setting, so that none is unknown to its reader', () => {
    const shipped: unknown = parseYaml(SHIPPED);
    const missing = ALL_SETTINGS.filter(
      ({ path }) =>
        path.reduce<unknown>((node, part) => (node as Record<string, unknown> | undefined)?.[part], shipped) ===
        undefined,
    );
    expect(missing.map(({ key }) => key)).toEqual([]);
  });
});

describe('settings', () => {
  it('accept their own defaults', () => {
    expect(ALL_SETTINGS.filter(({ leaf }) => !leaf.read(leaf.default).ok).map(({ key }) => key)).toEqual([]);
  });
});
