/** Reads what lies in the store, believing none of it. */
import { constants, type Dirent } from 'node:fs';
import { open, readdir, readlink } from 'node:fs/promises';
import { KernelError } from '../../Kernel/contract/errors.ts';
import { type Digest, isZoneName, type ModuleName, parseDigest } from '../../Kernel/contract/ids.ts';
import {
  type Artifact,
  ARTIFACT_LIMITS,
  MANIFEST_FILE,
  TARGETS_FILE,
} from '../../Kernel/contract/module/artifact.schema.ts';
import {
  generationRecordSchema,
  type GenerationRecord,
  type InstalledModule,
} from '../../Kernel/contract/module/module-record.schema.ts';
import { parseManifestYaml } from '../../Kernel/contract/module/manifest.parse.ts';
import {
  readCurrentTarget,
  readSlotTarget,
  SLOT_NAMES,
  type StoreLayout,
} from '../../Kernel/core/passive-update/store-layout.table.ts';
import { checkArtifact, verifyFile } from './check-artifact.ts';
import { digestOf, listTargets, readTargets } from './targets.ts';

const MAX_RECORD_BYTES = 64 * 1024;

const corrupt = (message: string, path: string, cause?: unknown): KernelError =>
  new KernelError('STATE_CORRUPT', message, {
    cause,
    context: { path },
    remedy: 'Install the module again, or remove it.',
  });

const isMissing = (fault: unknown): boolean =>
  fault instanceof Error && 'code' in fault && (fault.code === 'ENOENT' || fault.code === 'ENOTDIR');

/** Entries of a directory, sorted by name; empty when it is not there. */
export const listDirectory = async (path: string): Promise<readonly Dirent[]> => {
  try {
    return (await readdir(path, { withFileTypes: true })).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  } catch (fault) {
    if (isMissing(fault)) return [];
    throw corrupt('a directory cannot be read', path, fault);
  }
};

/**
 * Reads a regular file of at most `maxBytes`, or null when it is not there. Links are not followed: one in
 * the place of a file would make the kernel read, and hand to a module, any file of the machine.
 */
const readFileAt = async (path: string, maxBytes: number): Promise<Buffer | null> => {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stats = await file.stat();
    if (!stats.isFile()) throw corrupt('something other than a file stands here', path);
    if (stats.size > maxBytes) throw corrupt('a file is larger than it may be', path);
    return await file.readFile();
  } catch (fault) {
    if (fault instanceof KernelError) throw fault;
    if (isMissing(fault)) return null;
    throw corrupt('a file cannot be read', path, fault);
  }
};

const readLinkAt = async (path: string): Promise<string | null> => {
  try {
    return await readlink(path);
  } catch (fault) {
    if (isMissing(fault)) return null;
    throw corrupt('a link cannot be read', path, fault);
  }
};

/** The generation that `current` names, or null when there is no `current`. @throws KernelError `STATE_CORRUPT` */
export const readCurrent = async (layout: StoreLayout, name: ModuleName): Promise<number | null> => {
  const path = layout.current(name);
  const target = await readLinkAt(path);
  if (target === null) return null;
  const generation = readCurrentTarget(target);
  if (generation === null) throw corrupt('current leads to an unknown place', path);
  return generation;
};

/** Reads a whole artifact and checks every file. Files that the metadata does not name are refused too. */
export const readStored = async (layout: StoreLayout, digest: Digest): Promise<Artifact> => {
  const directory = layout.artifact(digest);
  const metadata = await readMetadata(layout, digest);
  const listed = listTargets(readTargets(metadata));
  const contents = new Map<string, Uint8Array>();
  let room: number = ARTIFACT_LIMITS.unpackedBytes;
  for (const { path } of listed) {
    const content = await readFileAt(`${directory}/${path}`, room);
    if (content === null)
      throw new KernelError('DIGEST_MISMATCH', `${path} is missing from the store`, {
        context: { digest, file: path },
      });
    room -= content.length;
    contents.set(path, content);
  }
  return checkArtifact(metadata, contents);
};

const readMetadata = async (layout: StoreLayout, digest: Digest): Promise<Buffer> => {
  const path = `${layout.artifact(digest)}/${TARGETS_FILE}`;
  const metadata = await readFileAt(path, ARTIFACT_LIMITS.metadataBytes);
  if (metadata === null) throw new KernelError('NOT_FOUND', 'no such artifact in the store', { context: { digest } });
  let found: Digest;
  try {
    found = digestOf(readTargets(metadata).signed);
  } catch (cause) {
    throw new KernelError('DIGEST_MISMATCH', `${TARGETS_FILE} in the store is damaged`, {
      cause,
      context: { digest, file: TARGETS_FILE },
    });
  }
  if (found === digest) return metadata;
  throw new KernelError('DIGEST_MISMATCH', `${TARGETS_FILE} in the store does not have the digest it lies under`, {
    context: { digest, found, file: TARGETS_FILE },
  });
};

/** Reads only the manifest of an artifact, as checked as the whole would be. */
export const readStoredManifest = async (layout: StoreLayout, digest: Digest): Promise<Artifact['manifest']> => {
  const target = listTargets(readTargets(await readMetadata(layout, digest))).find(
    ({ path }) => path === MANIFEST_FILE,
  );
  const path = `${layout.artifact(digest)}/${MANIFEST_FILE}`;
  const content = await readFileAt(path, ARTIFACT_LIMITS.manifestBytes);
  if (content === null || target === undefined)
    throw new KernelError('DIGEST_MISMATCH', `${MANIFEST_FILE} is missing from the store`, {
      context: { digest, file: MANIFEST_FILE },
    });
  verifyFile(target, content);
  return parseManifestYaml(content.toString('utf8'), path);
};

const readRecord = async (path: string): Promise<GenerationRecord> => {
  const content = await readFileAt(path, MAX_RECORD_BYTES);
  if (content === null) throw corrupt('record.json is missing', path);
  try {
    return generationRecordSchema.parse(JSON.parse(content.toString('utf8')));
  } catch (cause) {
    throw corrupt('record.json is damaged', path, cause);
  }
};

/** Links and record are written together; where they differ one of them was changed by hand, and neither is believed. */
const verifySlots = async (directory: string, record: GenerationRecord): Promise<void> => {
  for (const slot of SLOT_NAMES) {
    const target = await readLinkAt(`${directory}/${slot}`);
    const linked = target === null ? null : readSlotTarget(target);
    const recorded = record.slots[slot];
    if (target !== null && linked === null)
      throw corrupt(`the slot ${slot} leads to an unknown place`, `${directory}/${slot}`);
    if (linked !== (recorded?.digest ?? null))
      throw corrupt(`the slot ${slot} and record.json disagree`, `${directory}/${slot}`);
  }
};

const toSlot = (slot: GenerationRecord['slots']['active']) =>
  slot === null ? null : { version: slot.version, digest: parseDigest(slot.digest) };

/**
 * Reads one installed module through `current`.
 *
 * @throws KernelError `STATE_CORRUPT`, `DIGEST_MISMATCH`, `NOT_FOUND` (the artifact is gone), `MODULE_INVALID`
 */
export const readInstalled = async (layout: StoreLayout, name: ModuleName): Promise<InstalledModule> => {
  const generation = await readCurrent(layout, name);
  if (generation === null) throw corrupt('the module has no current generation', layout.current(name));
  const directory = layout.generation(name, generation);
  const path = `${directory}/record.json`;
  const record = await readRecord(path);
  const active = toSlot(record.slots.active);
  if (record.module !== name || record.generation !== generation || !isZoneName(record.zone))
    throw corrupt('record.json is that of another generation', path);
  if (active === null || active.digest !== record.digest || active.version !== record.version)
    throw corrupt('record.json contradicts itself', path);
  await verifySlots(directory, record);
  const manifest = await readStoredManifest(layout, active.digest);
  if (manifest.name !== name || manifest.version !== active.version)
    throw corrupt('the artifact is not what the record says', path);
  return {
    name,
    zone: record.zone,
    generation,
    manifest,
    unsigned: record.unsigned,
    installedAt: record.installedAt,
    by: record.by,
    slots: { active, fallback: toSlot(record.slots.fallback), next_stable: toSlot(record.slots.next_stable) },
  };
};
