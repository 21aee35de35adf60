/** Module commands that work on files and need no kernel. */
import { randomBytes } from 'node:crypto';
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { KernelError, type ErrorCode } from '../../../Kernel/contract/errors.ts';
import { sizeText } from '../render/quantity.ts';
import { escapeText, hang } from '../render/text.ts';
import { present, type Run } from '../session.ts';

/** An artifact, packed just now or read from a file, and what it says it is. */
export type Artifact = {
  readonly bytes: Buffer;
  readonly digest: string;
  readonly name: string;
  readonly version: string;
};

const MAX_ARTIFACT_BYTES = 16 * 1024 * 1024;

/** Packs a directory or reads a packed artifact; either way it was checked. */
export const loadArtifact = async (path: string): Promise<Artifact> => {
  const facts = await stat(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  if (facts.isDirectory()) {
    const { packModule } = await import('../../modules/pack.ts');
    const { bytes, digest, manifest } = await packModule(path);
    return { bytes, digest, name: manifest.name, version: manifest.version };
  }
  if (facts.size > MAX_ARTIFACT_BYTES) {
    throw new KernelError('ARTIFACT_INVALID', `${path} is over ${sizeText(MAX_ARTIFACT_BYTES)}`);
  }
  const bytes = await readFile(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  const { readArtifact } = await import('../../modules/unpack.ts');
  const { digest, manifest } = await readArtifact(bytes);
  return { bytes, digest, name: manifest.name, version: manifest.version };
};

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'NOT_FOUND',
  ENOTDIR: 'NOT_FOUND',
  EACCES: 'DENIED',
  EPERM: 'DENIED',
};

const fileError = (what: string, path: string, cause: unknown): KernelError => {
  const errno = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
  return new KernelError(CODES[errno] ?? 'UNAVAILABLE', `cannot ${what} ${path}: ${errno}`, {
    cause,
    context: { path },
  });
};
const unreadable = (path: string, cause: unknown): KernelError => fileError('read', path, cause);

export const init =
  (directory: string): Run =>
  async (session) => {
    const { initModule } = await import('../../modules/init.ts');
    const made = await initModule(resolve(directory));
    await present(session, { module: made.name, directory: made.directory, files: made.files }, () => [
      `made the module ${made.name} in ${escapeText(directory)}: ${made.files.join(', ')}`,
      '',
      'Next:',
      `  kernelctl module install ${escapeText(directory)}`,
      `  kernelctl module call ${made.name} hello '{"name":"Ada"}'`,
      `  kernelctl logs ${made.name} -f`,
    ]);
    return 0;
  };

export const validate =
  (path: string): Run =>
  async (session) => {
    const { bytes, digest, name, version } = await loadArtifact(path);
    await present(session, { ok: true, module: name, version, digest, bytes: bytes.byteLength }, (value, style) => [
      ...hang('', `${path}: ok, ${name} ${version}, ${sizeText(value.bytes)} packed`, style.width),
      ...hang('  ', digest, style.width),
    ]);
    return 0;
  };

export const pack =
  (directory: string, output: string | undefined): Run =>
  async (session) => {
    const { bytes, digest, name, version } = await loadArtifact(directory);
    const file = output ?? join('.', `${name}-${version}.kmod`);
    await writeWhole(file, bytes);
    await present(session, { file, module: name, version, digest, bytes: bytes.byteLength }, (_, style) => [
      ...hang('', `packed ${name} ${version} into ${file}, ${sizeText(bytes.byteLength)}`, style.width),
      ...hang('  ', digest, style.width),
    ]);
    return 0;
  };

/** Another program sees the old file or the new one, never half of it. */
const writeWhole = async (file: string, bytes: Buffer): Promise<void> => {
  const part = `${file}.${randomBytes(4).toString('hex')}.part`;
  try {
    await writeFile(part, bytes, { flag: 'wx' });
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw fileError('write', file, error);
  }
};
