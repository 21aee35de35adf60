/** Reads kernel.yaml from disk. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { formatIssue } from '../../config/config-issue.ts';
import { parseKernelConfig } from '../../config/parse-config.ts';
import type { ConfigSources } from '../../config/parse-config.ts';
import type { MachineFacts } from '../../config/resolve-config.ts';
import { MAX_CONFIG_BYTES } from '../../config/yaml-source.ts';
import type { EffectiveConfig } from '../../Kernel/contract/effective-config.ts';
import { KernelError } from '../../Kernel/contract/errors.ts';
import { readMachineFacts } from './machine-facts.ts';

export type LoadedConfig = {
  readonly file: string;
  readonly config: EffectiveConfig;
  readonly sources: ConfigSources;
};

const REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: 'Name an existing file with --config, or copy config/kernel.yaml there.',
  EACCES: 'Make the file readable for the user that runs kerneld.',
  EISDIR: 'Name the file itself, not its directory.',
};

const unreadable = (file: string, why: string, code: string, cause?: unknown): KernelError =>
  new KernelError('CONFIG_UNREADABLE', `${file} cannot be read: ${why}`, {
    cause,
    context: { file },
    remedy: REMEDIES[code] ?? 'Check the file and its directory.',
  });

/** At most one byte more than allowed, so that a file that is too large shows as such. */
const readBounded = async (handle: FileHandle, signal: AbortSignal): Promise<Buffer> => {
  const buffer = Buffer.alloc(MAX_CONFIG_BYTES + 1);
  let length = 0;
  while (length < buffer.length) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
};

const readText = async (file: string, signal: AbortSignal): Promise<string> => {
  // Non-blocking: opening a named pipe would otherwise wait for a writer for ever.
  await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const stats = await handle.stat();
  if (stats.isDirectory()) throw unreadable(file, 'it is a directory', 'EISDIR');
  if (!stats.isFile()) throw unreadable(file, 'it is not a regular file', 'EINVAL');
  const bytes = await readBounded(handle, signal);
  if (bytes.length > MAX_CONFIG_BYTES) throw unreadable(file, 'it is larger than 1MiB', 'EFBIG');
  // Bytes that are not UTF-8 become U+FFFD, which the check below finds.
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
};

/**
 * Reads and checks kernel.yaml.
 *
 * @throws KernelError `CONFIG_UNREADABLE` (missing, not permitted, not a regular file, over 1 MiB),
 *   `CONFIG_INVALID` with every problem as `context.issues` (see `ConfigIssue`)
 */
export const readKernelConfig = async (input: {
  readonly file: string;
  readonly signal: AbortSignal;
  readonly machine?: MachineFacts;
}): Promise<LoadedConfig> => {
  const { file, signal } = input;
  const text = await readText(file, signal).catch((error: unknown) => {
    if (error instanceof KernelError || signal.aborted) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? '';
    const why =
      code === 'ENOENT' ? 'it does not exist' : code === 'EACCES' ? 'permission denied' : code || String(error);
    throw unreadable(file, why, code, error);
  });
  const parsed = parseKernelConfig({ text, file, machine: input.machine ?? readMachineFacts() });
  if (parsed.ok) return { file, config: parsed.config, sources: parsed.sources };
  const [first, ...rest] = parsed.issues;
  const more = rest.length === 0 ? '' : ` (and ${rest.length} more)`;
  throw new KernelError('CONFIG_INVALID', `${first === undefined ? file : formatIssue(first)}${more}`, {
    context: { file, issues: parsed.issues },
    remedy: 'Correct the file; kernelctl config check lists every problem.',
  });
};
