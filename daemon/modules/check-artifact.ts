/** The checks that an artifact passes on its way in, and again each time it is read from the store. */
import { KernelError } from '../../Kernel/contract/errors.ts';
import {
  type Artifact,
  ARTIFACT_LIMITS,
  MANIFEST_FILE,
  type Targets,
} from '../../Kernel/contract/module/artifact.schema.ts';
import { parseManifestYaml } from '../../Kernel/contract/module/manifest.parse.ts';
import { digestOf, listTargets, readTargets, sha256Hex, type TargetFile } from './targets.ts';

/**
 * Compares one file with what the metadata says.
 *
 * @throws KernelError `DIGEST_MISMATCH` naming the file
 */
export const verifyFile = (target: TargetFile, content: Uint8Array): void => {
  if (content.length !== target.length) {
    throw new KernelError('DIGEST_MISMATCH', `${target.path} has ${content.length} bytes instead of ${target.length}`, {
      context: { file: target.path, expectedBytes: target.length, foundBytes: content.length },
    });
  }
  const found = sha256Hex(content);
  if (found === target.sha256) return;
  throw new KernelError('DIGEST_MISMATCH', `${target.path} does not have the recorded hash`, {
    context: { file: target.path, expected: target.sha256, found },
  });
};

const verifyIdentity = (manifest: Artifact['manifest'], custom: Targets['signed']['custom']): void => {
  for (const field of ['tenant', 'name', 'version', 'securityVersion'] as const) {
    if (manifest[field] === custom[field]) continue;
    throw new KernelError('ARTIFACT_INVALID', `${MANIFEST_FILE} and the metadata disagree about ${field}`, {
      context: { field, manifest: manifest[field], metadata: custom[field] },
    });
  }
};

/**
 * Checks the metadata and every file of an artifact against it.
 *
 * @param metadata the bytes of `targets.json`
 * @param contents every other file by its path
 * @throws KernelError `ARTIFACT_INVALID`, `DIGEST_MISMATCH`, `MODULE_INVALID`
 */
export const checkArtifact = (metadata: Uint8Array, contents: ReadonlyMap<string, Uint8Array>): Artifact => {
  const targets = readTargets(metadata);
  const listed = listTargets(targets);
  if (listed.length > ARTIFACT_LIMITS.files)
    throw new KernelError('ARTIFACT_INVALID', 'the metadata names too many files');
  const files = new Map<string, Buffer>();
  for (const target of listed) {
    const content = contents.get(target.path);
    if (content === undefined) {
      throw new KernelError('ARTIFACT_INVALID', `${target.path} is named by the metadata and is not there`, {
        context: { file: target.path },
      });
    }
    verifyFile(target, content);
    files.set(target.path, Buffer.from(content.buffer, content.byteOffset, content.byteLength));
  }
  for (const path of contents.keys()) {
    if (files.has(path)) continue;
    throw new KernelError('ARTIFACT_INVALID', 'a file is not named by the metadata', {
      context: { file: JSON.stringify(path.slice(0, 200)) },
    });
  }
  const manifest = readManifest(files.get(MANIFEST_FILE));
  verifyIdentity(manifest, targets.signed.custom);
  if (!files.has(manifest.entry)) {
    throw new KernelError('ARTIFACT_INVALID', `the entry ${manifest.entry} is not in the artifact`, {
      context: { file: manifest.entry },
    });
  }
  if (!manifest.entry.endsWith('.mjs')) {
    throw new KernelError('ARTIFACT_INVALID', 'the entry of a packed module is a .mjs file', {
      context: { file: manifest.entry },
    });
  }
  return { manifest, digest: digestOf(targets.signed), metadata, files, unsigned: true };
};

const readManifest = (content: Buffer | undefined): Artifact['manifest'] => {
  if (content === undefined || content.length > ARTIFACT_LIMITS.manifestBytes) {
    throw new KernelError('ARTIFACT_INVALID', `${MANIFEST_FILE} is missing or too large`, {
      context: { file: MANIFEST_FILE },
    });
  }
  return parseManifestYaml(content.toString('utf8'), MANIFEST_FILE);
};
