/** Makes and reads `targets.json`, the metadata that names every file of an artifact. */
import { createHash } from 'node:crypto';
import { KernelError } from '../../Kernel/contract/errors.ts';
import { type Digest, parseDigest } from '../../Kernel/contract/ids.ts';
import { findPathFault } from '../../Kernel/contract/module/artifact-path.ts';
import {
  MANIFEST_FILE,
  type Targets,
  TARGETS_FILE,
  targetsSchema,
  UNSIGNED_EXPIRES,
} from '../../Kernel/contract/module/artifact.schema.ts';
import { canonicalJson } from '../../Kernel/contract/module/canonical-json.ts';
import type { ModuleManifest } from '../../Kernel/contract/module/manifest.schema.ts';

export const sha256Hex = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

/** The digest that names an artifact: of what a signature would cover. */
export const digestOf = (signed: Targets['signed']): Digest =>
  parseDigest(`sha256:${sha256Hex(canonicalJson(signed))}`);

/** One file as the metadata names it; `path` is inside the module. */
export type TargetFile = { readonly path: string; readonly length: number; readonly sha256: string };

/** Unsigned metadata of a module with these files. */
export const makeTargets = (manifest: ModuleManifest, files: ReadonlyMap<string, Uint8Array>): Targets => {
  const targets: Targets['signed']['targets'] = {};
  for (const [path, content] of files) {
    targets[`${manifest.tenant}/${manifest.name}/${path}`] = {
      length: content.length,
      hashes: { sha256: sha256Hex(content) },
    };
  }
  const { tenant, name, version, securityVersion } = manifest;
  return {
    signatures: [],
    signed: {
      _type: 'targets',
      spec_version: '1.0.0',
      version: 1,
      expires: UNSIGNED_EXPIRES,
      targets,
      custom: { tenant, name, version, securityVersion },
    },
  };
};

const refuse = (message: string, context: Record<string, unknown> = {}): never => {
  throw new KernelError('ARTIFACT_INVALID', message, { context: { file: TARGETS_FILE, ...context } });
};

/**
 * Reads metadata from an untrusted place.
 *
 * It must be its own canonical form: then no two readers can see different members in it (twice the same
 * key, unusual escapes), and signing it later signs what was read.
 *
 * @throws KernelError `ARTIFACT_INVALID`
 */
export const readTargets = (bytes: Uint8Array): Targets => {
  const text = Buffer.from(bytes).toString('utf8');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new KernelError('ARTIFACT_INVALID', 'the metadata is not JSON', { cause, context: { file: TARGETS_FILE } });
  }
  const parsed = targetsSchema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return refuse('the metadata does not have the shape of TUF targets', {
      at: issue?.path.join('.').slice(0, 200),
      expected: issue?.message.slice(0, 200),
    });
  }
  if (!hasCanonicalForm(parsed.data, text)) refuse('the metadata is not in canonical form');
  return parsed.data;
};

const hasCanonicalForm = (targets: Targets, text: string): boolean => {
  try {
    return canonicalJson(targets) === text;
  } catch (fault) {
    // A text with control characters has no canonical form, so it cannot be in it.
    if (fault instanceof KernelError) return false;
    throw fault;
  }
};

/**
 * The files that metadata names, sorted by path. The first two segments of each target must be the tenant
 * and name of the module (DESIGN section 9): a signer for one module cannot ship the files of another.
 *
 * @throws KernelError `ARTIFACT_INVALID`
 */
export const listTargets = ({ signed }: Targets): readonly TargetFile[] => {
  const prefix = `${signed.custom.tenant}/${signed.custom.name}/`;
  const folded = new Map<string, string>();
  const files = Object.entries(signed.targets).map(([target, { length, hashes }]) => {
    if (!target.startsWith(prefix))
      refuse('a target lies outside of the module', { target: target.slice(0, 200), expected: `${prefix}…` });
    const path = target.slice(prefix.length);
    const fault =
      findPathFault(path) ?? (path.toLowerCase() === TARGETS_FILE ? 'the metadata cannot name itself' : null);
    if (fault !== null) refuse(fault, { target: JSON.stringify(target.slice(0, 200)) });
    const twin = folded.get(path.toLowerCase());
    if (twin !== undefined) refuse('two files differ only in the case of letters', { paths: [twin, path] });
    folded.set(path.toLowerCase(), path);
    return { path, length, sha256: hashes.sha256 };
  });
  // A file that is also the directory of another cannot be written.
  for (const { path } of files) {
    const segments = path.toLowerCase().split('/');
    for (let depth = 1; depth < segments.length; depth += 1) {
      if (folded.has(segments.slice(0, depth).join('/'))) refuse('a file is also a directory', { path });
    }
  }
  if (!folded.has(MANIFEST_FILE)) refuse(`the metadata does not name ${MANIFEST_FILE}`);
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
};
