/** The container engine alone, over its API: the peer of a call (`docker exec`) and the floor of a boot. */
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { ENGINE_HOST, engineApi } from '../support/kernel.ts';
import { IMAGE_REPOSITORY, NODE_PATH } from '../../zones/image/layout.plan.ts';

const TIMEOUT_MS = 20_000;

/** With a body, and read to the end of what a hijacked connection sends. */
const post = (path: string, body: object): Promise<string> =>
  new Promise((resolve, reject) => {
    const payload = JSON.stringify(body);
    const outgoing = request(
      {
        socketPath: ENGINE_HOST.replace('unix://', ''),
        method: 'POST',
        path,
        headers: { host: 'engine', 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) },
        timeout: TIMEOUT_MS,
      },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
        answer.on('error', reject);
        answer.on('end', () =>
          (answer.statusCode ?? 500) < 400 ? resolve(text) : reject(new Error(`the engine answered ${path}: ${text}`)),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.on('timeout', () => outgoing.destroy(new Error(`the engine gave no answer to ${path}`)));
    outgoing.end(payload);
  });

/** The newest zone image that the engine has: there is one after the first boot. */
const zoneImage = async (): Promise<string> => {
  const filters = encodeURIComponent(JSON.stringify({ reference: [IMAGE_REPOSITORY] }));
  const images = await engineApi<{ Id: string; Created: number }[]>('GET', `/images/json?filters=${filters}`);
  const newest = images.toSorted((a, b) => b.Created - a.Created)[0];
  if (newest === undefined) throw new Error('the engine has no zone image; boot a kernel first');
  return newest.Id;
};

const createContainer = async (image: string, command: readonly string[]): Promise<string> => {
  const body = {
    Image: image,
    Entrypoint: [command[0]],
    Cmd: command.slice(1),
    NetworkDisabled: true,
    HostConfig: { NetworkMode: 'none', IpcMode: 'none' },
    Labels: { 'kerneld.bench': 'true' },
  };
  const name = `kerneld-bench-${randomBytes(6).toString('hex')}`;
  return (JSON.parse(await post(`/containers/create?name=${name}`, body)) as { Id: string }).Id;
};

const remove = (container: string): Promise<null> => engineApi('DELETE', `/containers/${container}?force=1&v=1`);

export type ExecPeer = AsyncDisposable & {
  /** `docker exec`: create, start attached, read to the end, ask for the status. Gives milliseconds. */
  readonly exec: (command: readonly string[]) => Promise<number>;
};

/** A running container to execute in; without any of the restrictions of a zone. */
export const startExecPeer = async (): Promise<ExecPeer> => {
  const container = await createContainer(await zoneImage(), [NODE_PATH, '-e', 'setInterval(() => {}, 1e6)']);
  try {
    await post(`/containers/${container}/start`, {});
  } catch (error) {
    await remove(container);
    throw error;
  }
  return {
    exec: async (command) => {
      const startedMs = performance.now();
      const made = await post(`/containers/${container}/exec`, {
        AttachStdout: true,
        AttachStderr: true,
        Cmd: command,
      });
      const { Id } = JSON.parse(made) as { Id: string };
      const output = await post(`/exec/${Id}/start`, { Detach: false, Tty: false });
      const { ExitCode } = await engineApi<{ ExitCode: number | null }>('GET', `/exec/${Id}/json`);
      const ms = performance.now() - startedMs;
      if (ExitCode !== 0) throw new Error(`${command.join(' ')} ended with ${ExitCode}: ${output}`);
      return ms;
    },
    [Symbol.asyncDispose]: async () => void (await remove(container)),
  };
};

/** Two containers, as many as there are zones, beside each other: made, started, ended, removed. Milliseconds. */
export const timeTwoContainers = async (): Promise<number> => {
  const image = await zoneImage();
  const one = async (): Promise<void> => {
    const container = await createContainer(image, [NODE_PATH, '-e', '0']);
    try {
      await post(`/containers/${container}/start`, {});
      await post(`/containers/${container}/wait`, {});
    } finally {
      await remove(container);
    }
  };
  const startedMs = performance.now();
  await Promise.all([one(), one()]);
  return performance.now() - startedMs;
};
