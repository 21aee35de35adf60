/** The zod schema of kernel.yaml, made from the table of settings; and the JSON Schema for editors. */
import { z } from 'zod';
import { MODULE_NAME_PATTERN } from '../Kernel/contract/ids.ts';
import type { Leaf, WrittenForm } from './setting-kinds.table.ts';
import {
  API_VERSION,
  API_VERSION_DESCRIBE,
  MODULE_CONFIG_DESCRIBE,
  MODULES_DESCRIBE,
  SETTINGS,
} from './settings.table.ts';
import type { SettingValues } from './settings.table.ts';
import type { Section, SettingNode } from './section.table.ts';

const written = (form: WrittenForm): z.ZodType => {
  switch (form.type) {
    case 'string':
      return z.string().regex(new RegExp(form.pattern));
    case 'integer':
      return z.int().min(form.minimum).max(form.maximum);
    case 'number':
      return z.number().min(form.minimum).max(form.maximum);
    case 'numberOrString':
      return z.union([z.number().min(form.minimum).max(form.maximum), z.string().regex(new RegExp(form.pattern))]);
    case 'boolean':
      return z.boolean();
    case 'choice':
      return z.enum(form.values as [string, ...string[]]);
  }
};

const leafSchema = (leaf: Leaf<unknown>): z.ZodType =>
  written(leaf.form)
    .transform((value, context) => {
      const reading = leaf.read(value);
      if (reading.ok) return reading.value;
      // The text of the issue is made later from the same reading, where the position is known.
      context.issues.push({ code: 'custom', input: value, message: reading.message });
      return z.NEVER;
    })
    .prefault(leaf.default)
    .describe(`${leaf.describe} Expected: ${leaf.expected}.`);

const nodeSchema = (node: SettingNode): z.ZodType =>
  node.node === 'leaf' ? leafSchema(node) : z.strictObject(childSchemas(node)).prefault({}).describe(node.describe);

const childSchemas = (node: Section): Record<string, z.ZodType> =>
  Object.fromEntries(Object.entries(node.children).map(([key, child]) => [key, nodeSchema(child)]));

/** Configuration values of one module, as written. */
export type ModuleValues = Readonly<Record<string, { readonly config?: unknown }>>;

/** What parsing kernel.yaml gives: units resolved, percentages not yet. */
export type KernelFile = SettingValues & { readonly apiVersion: typeof API_VERSION; readonly modules: ModuleValues };

/**
 * The written form of kernel.yaml. Strict: an unknown key is refused. Everything but `apiVersion` has
 * a default.
 */
export const kernelSchema = z
  .strictObject({
    apiVersion: z.literal(API_VERSION).describe(API_VERSION_DESCRIBE),
    ...childSchemas(SETTINGS),
    modules: z
      .record(
        z.string().regex(MODULE_NAME_PATTERN),
        z.strictObject({ config: z.unknown().optional().describe(MODULE_CONFIG_DESCRIBE) }),
      )
      .prefault({})
      .describe(MODULES_DESCRIBE),
  })
  .describe(SETTINGS.describe) as unknown as z.ZodType<KernelFile>;

/** The JSON Schema for editors; `config/kernel.schema.json` is this, written by `emit-schema.ts`. */
export const kernelJsonSchema = (): object => ({
  ...z.toJSONSchema(kernelSchema, { io: 'input', target: 'draft-07' }),
  title: 'kernel.yaml of kerneld',
});
/** The committed text of the JSON Schema. */
export const kernelJsonSchemaText = (): string => `${JSON.stringify(kernelJsonSchema(), null, 2)}\n`;
