/** What the store says about installed modules. */
import { z } from 'zod';
import { digestSchema, moduleNameSchema, slotsSchema, zoneNameSchema } from '../operations/shapes.ts';
import type { Digest, ModuleName, ZoneName } from '../ids.ts';
import type { ModuleManifest } from './manifest.schema.ts';

/** `record.json` of one generation; written once and never changed. */
export const generationRecordSchema = z.strictObject({
  format: z.literal(1),
  module: moduleNameSchema,
  generation: z.int().min(1),
  zone: zoneNameSchema,
  version: z.string().max(64),
  digest: digestSchema,
  slots: slotsSchema,
  unsigned: z.boolean(),
  /** Wall clock, ISO 8601. */
  installedAt: z.string().max(40),
  /** Who asked for it, as the control socket knows him. */
  by: z.string().max(200),
  /** The generation that was current before; null for the first. */
  previous: z.nullable(z.int()),
});
export type GenerationRecord = z.output<typeof generationRecordSchema>;

export type ModuleSlot = { readonly version: string; readonly digest: Digest };
export type ModuleSlots = {
  readonly active: ModuleSlot | null;
  readonly fallback: ModuleSlot | null;
  readonly next_stable: ModuleSlot | null;
};

/** One installed module as `current` shows it. `manifest` is that of the active slot. */
export type InstalledModule = {
  readonly name: ModuleName;
  readonly zone: ZoneName;
  readonly generation: number;
  readonly slots: ModuleSlots & { readonly active: ModuleSlot };
  readonly manifest: ModuleManifest;
  readonly unsigned: boolean;
  readonly installedAt: string;
  readonly by: string;
};

/** A module whose records cannot be used, and why; never silently left out. */
export type BrokenModule = { readonly name: string; readonly reason: string };
