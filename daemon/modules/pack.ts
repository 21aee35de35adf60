/** Packs the directory of a module into an artifact. */
import { lstat, readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { parseDocument, isMap, isScalar } from 'yaml';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { Digest } from '../../Kernel/contract/ids.ts';
import { ENTRY_EXTENSIONS } from '../../Kernel/contract/module/artifact-path.ts';
import { ARTIFACT_LIMITS, MANIFEST_FILE } from '../../Kernel/contract/module/artifact.schema.ts';
import { canonicalJson } from '../../Kernel/contract/module/canonical-json.ts';
import { parseManifestYaml } from '../../Kernel/contract/module/manifest.parse.ts';
import type { ModuleManifest } from '../../Kernel/contract/module/manifest.schema.ts';
import { writeArchive } from './archive.ts';
import { bundleEntry } from './bundle.ts';
import { digestOf, makeTargets } from './targets.ts';

export type PackedModule = {
  readonly bytes: Buffer;
  readonly digest: Digest;
  readonly manifest: ModuleManifest;
};

/**
 * Bundles the entry with its npm dependencies and packs it with `module.yaml`. The same directory always
 * gives the same digest.
 *
 * @throws KernelError `NOT_FOUND` (no `module.yaml` there), `MODULE_INVALID` (manifest or sources, with
 *   `context.issues`), `PAYLOAD_TOO_LARGE`
 */
export const packModule = async (directory: string): Promise<PackedModule> => {
  const written = await readManifestFile(directory);
  const source = parseManifestYaml(written, MANIFEST_FILE);
  const bundle = await bundleEntry(await realpath(directory), source.entry);
  const entry = source.entry.replace(ENTRY_EXTENSIONS, '.mjs');
  const text = nameEntry(written, entry);
  const manifest = parseManifestYaml(text, MANIFEST_FILE);
  const files = new Map<string, Uint8Array>([
    [MANIFEST_FILE, Buffer.from(text)],
    [entry, bundle],
  ]);
  const targets = makeTargets(manifest, files);
  const bytes = writeArchive(Buffer.from(canonicalJson(targets)), files);
  if (
    bytes.length > ARTIFACT_LIMITS.compressedBytes ||
    bundle.length > ARTIFACT_LIMITS.unpackedBytes - ARTIFACT_LIMITS.metadataBytes
  ) {
    throw new KernelError('PAYLOAD_TOO_LARGE', 'the packed module is larger than an artifact may be', {
      context: { bytes: bytes.length, unpackedBytes: bundle.length },
      remedy: 'Leave out dependencies that are not needed.',
    });
  }
  return { bytes, digest: digestOf(targets.signed), manifest };
};

const readManifestFile = async (directory: string): Promise<string> => {
  const file = join(directory, MANIFEST_FILE);
  try {
    const { size } = await lstat(file);
    if (size > ARTIFACT_LIMITS.manifestBytes)
      throw new KernelError('MODULE_INVALID', `${MANIFEST_FILE} is larger than 256KiB`);
    return await readFile(file, 'utf8');
  } catch (cause) {
    if (cause instanceof KernelError) throw cause;
    throw new KernelError('NOT_FOUND', `cannot read ${file}`, {
      cause,
      remedy: 'Name a directory that `kernelctl module init` made.',
    });
  }
};

/** Puts the name of the bundle in the place of the source's, and leaves every other byte, comments included. */
const nameEntry = (text: string, entry: string): string => {
  const root: unknown = parseDocument(text).contents;
  const node: unknown = isMap(root) ? root.get('entry', true) : undefined;
  if (!isScalar(node) || node.range === undefined || node.range === null) {
    throw new KernelError('MODULE_INVALID', 'write the entry as a plain text, without an alias');
  }
  if (node.value === entry) return text;
  return `${text.slice(0, node.range[0])}${entry}${text.slice(node.range[1])}`;
};
