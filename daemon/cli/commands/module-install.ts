import { createHash } from 'node:crypto';
import type { ZoneName } from '../../../Kernel/contract/ids.ts';
import type { KernelClient } from '../../client/connect.ts';
import { renderInstalled } from '../render/module.ts';
import { openClient, present, type Run, type Session } from '../session.ts';
import { loadArtifact, type Artifact } from './module-files.ts';

/** Raw bytes in one `upload.write`: as base64 they stay below the limit of that operation. */
const PART_BYTES = 900 * 1024;

/** Packs if need be, uploads over one connection, installs. */
export const install =
  (path: string, zone: ZoneName | undefined): Run =>
  async (session) => {
    const artifact = await loadArtifact(path);
    await using client = await openClient(session);
    try {
      const upload = await send(session, client, artifact);
      await session.progress(`installing ${artifact.name} ${artifact.version} …`);
      const params = { upload, ...(zone === undefined ? {} : { zone }) };
      const installed = await client.call('module.install', params, { signal: session.signal });
      await session.progress('');
      await present(session, installed, renderInstalled);
      return 0;
    } catch (error) {
      await session.progress(''); // so that the error does not follow on the same line
      throw error;
    }
  };

const send = async (session: Session, client: KernelClient, { bytes, name }: Artifact): Promise<string> => {
  const options = { signal: session.signal };
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const { upload } = await client.call('upload.open', { bytes: bytes.byteLength, sha256 }, options);
  for (let offset = 0; offset < bytes.byteLength; offset += PART_BYTES) {
    await session.progress(`sending ${name} ${Math.floor((offset * 100) / bytes.byteLength)} %`);
    const base64 = bytes.subarray(offset, offset + PART_BYTES).toString('base64');
    await client.call('upload.write', { upload, offset, base64 }, options);
  }
  return upload;
};
