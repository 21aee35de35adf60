/**
 * What is inside a `.kmod`: a gzip tar of `targets.json`, `module.yaml` and the bundled files.
 *
 * `targets.json` has the shape of TUF targets metadata (TUF specification 1.0, section 4.5), so that
 * signatures are an addition and not a new format. Until the update work brings them, `signatures` is empty.
 */
import { z } from 'zod';
import type { Digest } from '../ids.ts';
import { MODULE_NAME_PATTERN } from '../ids.ts';
import type { ModuleManifest } from './manifest.schema.ts';

export { MANIFEST_FILE, TARGETS_FILE } from './artifact.constants.ts';

/** Bounds of an artifact; over any of them it is refused with `ARTIFACT_INVALID`. */
export const ARTIFACT_LIMITS = {
  compressedBytes: 16 * 1024 * 1024,
  unpackedBytes: 64 * 1024 * 1024,
  files: 1000,
  manifestBytes: 256 * 1024,
  metadataBytes: 1024 * 1024,
} as const;

/**
 * The `expires` of unsigned metadata. Nobody vouches for an unsigned artifact, so there is no promise
 * that could end; and a real date would make every packing of the same input another digest. Signing
 * writes a real one.
 */
export const UNSIGNED_EXPIRES = '9999-12-31T23:59:59Z';

const name = z.string().regex(MODULE_NAME_PATTERN);

export const targetsSchema = z.strictObject({
  signatures: z.array(z.strictObject({ keyid: z.string().max(128), sig: z.string().max(2048) })).max(32),
  signed: z.strictObject({
    _type: z.literal('targets'),
    spec_version: z.literal('1.0.0'),
    version: z.int().min(1),
    expires: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    custom: z.strictObject({
      tenant: name,
      name,
      version: z.string().max(64),
      securityVersion: z.int().min(0).max(2_147_483_647),
    }),
    targets: z.record(
      z.string().max(300),
      z.strictObject({
        length: z.int().min(0).max(ARTIFACT_LIMITS.unpackedBytes),
        hashes: z.strictObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
      }),
    ),
  }),
});
export type Targets = z.output<typeof targetsSchema>;

/** A checked artifact in memory: every file has the length and hash that the metadata names. */
export type Artifact = {
  readonly manifest: ModuleManifest;
  /** `sha256:` of the canonical JSON of `signed`; the address of the artifact in the store. */
  readonly digest: Digest;
  /** The bytes of `targets.json`. */
  readonly metadata: Uint8Array;
  /** Every file but `targets.json` by its path; `module.yaml` is among them. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** True until signatures are checked. */
  readonly unsigned: true;
};
