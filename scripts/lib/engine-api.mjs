/** The few requests that the scripts make of a container engine. The kernel has an adapter of its own, in zones/docker. */
import { request } from 'node:http';

const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/**
 * One request over the engine's Unix socket.
 *
 * @returns {Promise<{ status: number, body: string }>} rejects when nothing answers within the time limit
 */
export function ask(socketPath, method, path, timeoutMs = 5000) {
  return new Promise((resolve, reject) => {
    const query = request({ socketPath, method, path, host: 'engine', timeout: timeoutMs }, (answer) => {
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (part) => {
        body += part;
        if (body.length > MAX_ANSWER_BYTES) query.destroy(new Error('the answer is too large'));
      });
      answer.on('end', () => resolve({ status: answer.statusCode, body }));
      answer.on('error', reject);
    });
    query.on('timeout', () => query.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    query.on('error', reject);
    query.end();
  });
}

/**
 * Whether an engine answers at a socket.
 *
 * @returns {Promise<{ answers: true } | { answers: false, code: string }>} the code says why not: ENOENT, EACCES, ECONNREFUSED, …
 */
export async function ping(socketPath, timeoutMs = 3000) {
  try {
    const { status } = await ask(socketPath, 'GET', '/_ping', timeoutMs);
    return status === 200 ? { answers: true } : { answers: false, code: `HTTP ${status}` };
  } catch (error) {
    return { answers: false, code: error.code ?? error.message };
  }
}

export async function version(socketPath) {
  return JSON.parse((await ask(socketPath, 'GET', '/version')).body).Version;
}

/** Ids of containers, running or not, that carry a label (`name` or `name=value`). */
export async function containersWith(socketPath, label, { all = true } = {}) {
  const filters = encodeURIComponent(JSON.stringify(label === undefined ? {} : { label: [label] }));
  const { status, body } = await ask(
    socketPath,
    'GET',
    `/containers/json?all=${all ? 1 : 0}&filters=${filters}`,
    20_000,
  );
  if (status !== 200) throw new Error(`the engine answered ${status} to a list of containers`);
  return JSON.parse(body).map(({ Id, Labels }) => ({ id: Id, labels: Labels ?? {} }));
}

/** Kills and removes one container; one that has gone already is as good. */
export async function removeContainer(socketPath, id) {
  const { status } = await ask(socketPath, 'DELETE', `/containers/${id}?force=1&v=1`, 30_000);
  if (status >= 400 && status !== 404 && status !== 409) throw new Error(`the engine answered ${status} to a removal`);
}
