/** Sends a module to a blank instance: names every file, sends them in chunks, has them checked and imported. */
import { createHash } from 'node:crypto';
import { KernelError } from '../../Kernel/contract/errors.ts';
import {
  CHUNK_BYTES,
  assignCommitResultSchema,
  type AssignBeginParams,
  type AssignCommitResult,
} from '../../Kernel/contract/wire/agent.schema.ts';
import type { InstanceLink } from '../link/link.ts';

export type ModulePayload = {
  readonly module: string;
  readonly version: string;
  readonly digest: string;
  readonly entry: string;
  /** Path to content, verified against the digest by the store when it was loaded. */
  readonly files: ReadonlyMap<string, Buffer>;
  readonly functions: readonly string[];
  readonly config: unknown;
};

/**
 * @throws KernelError `MODULE_LOAD_FAILED`, `DIGEST_MISMATCH` (the agent names another digest than it was sent),
 *   `INSTANCE_LOST`, `DEADLINE_EXCEEDED`
 */
export const assignModule = async (
  link: InstanceLink,
  payload: ModulePayload,
  options: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<AssignCommitResult> => {
  const begin: AssignBeginParams = {
    module: payload.module,
    version: payload.version,
    digest: payload.digest,
    entry: payload.entry,
    files: [...payload.files].map(([path, content]) => ({
      path,
      bytes: content.byteLength,
      sha256: createHash('sha256').update(content).digest('hex'),
    })),
    functions: [...payload.functions],
    config: payload.config,
  };
  await link.request('assign.begin', begin, options);
  for (const [path, content] of payload.files) {
    for (let offset = 0; offset < content.byteLength; offset += CHUNK_BYTES) {
      const base64 = content.subarray(offset, offset + CHUNK_BYTES).toString('base64');
      await link.request('assign.chunk', { path, offset, base64 }, options);
    }
  }
  const result = assignCommitResultSchema.parse(await link.request('assign.commit', null, options));
  // The agent's word proves nothing; a wrong one shows that it is not the agent we built.
  if (result.digest !== payload.digest) {
    throw new KernelError(
      'DIGEST_MISMATCH',
      `the agent reports digest ${result.digest}, it was sent ${payload.digest}`,
    );
  }
  return result;
};
