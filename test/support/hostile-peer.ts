/**
 * A hostile program in the place of an agent: it connects to the socket of an instance and sends what no
 * agent would. It speaks raw bytes, so that nothing but the link under test checks them.
 */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { AGENT_PROTOCOL } from '../../Kernel/contract/wire/agent.constants.ts';

const HANDSHAKE = [
  'GET / HTTP/1.1',
  'Host: kernel',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
  '\r\n',
].join('\r\n');

/** The head of a masked client frame with a mask of zeros (RFC 6455 clause 5.2). */
export const frameHead = (bytes: number, opcode = 1, final = true): Buffer => {
  const first = (final ? 0x80 : 0) | opcode;
  if (bytes < 126) return Buffer.from([first, 0x80 | bytes, 0, 0, 0, 0]);
  if (bytes < 65_536) return Buffer.from([first, 0x80 | 126, bytes >> 8, bytes & 0xff, 0, 0, 0, 0]);
  const head = Buffer.alloc(14);
  head[0] = first;
  head[1] = 0x80 | 127;
  head.writeBigUInt64BE(BigInt(bytes), 2);
  return head;
};
export const frame = (content: string | Buffer, opcode = 1, final = true): Buffer => {
  const payload = Buffer.from(content);
  return Buffer.concat([frameHead(payload.length, opcode, final), payload]);
};
export const jsonFrame = (value: unknown): Buffer => frame(JSON.stringify(value));

export const helloFrame = (overrides: Readonly<Record<string, unknown>> = {}): Buffer =>
  jsonFrame({
    jsonrpc: '2.0',
    id: 1,
    method: 'hello',
    params: { protocol: AGENT_PROTOCOL, instance: '', assigned: null, node: 'v0', v8: '0', ...overrides },
  });

export type HostilePeer = Disposable & {
  readonly socket: Socket;
  readonly send: (bytes: Buffer | string) => void;
  readonly closed: Promise<void>;
  /** Text frames that came from the kernel, parsed. */
  readonly received: Record<string, unknown>[];
  /** Answers requests of the kernel; `undefined` says nothing. */
  answer: (request: Record<string, unknown>) => unknown;
};

/** Takes unmasked server frames apart; enough for what the kernel sends. */
const createDecoder = (onText: (text: string) => void) => {
  let pending = Buffer.alloc(0);
  return (chunk: Buffer): void => {
    pending = Buffer.concat([pending, chunk]);
    for (;;) {
      if (pending.length < 2) return;
      const short = (pending[1] ?? 0) & 0x7f;
      const headBytes = short === 126 ? 4 : short === 127 ? 10 : 2;
      if (pending.length < headBytes) return;
      const bytes =
        short === 126 ? pending.readUInt16BE(2) : short === 127 ? Number(pending.readBigUInt64BE(2)) : short;
      if (pending.length < headBytes + bytes) return;
      if (((pending[0] ?? 0) & 0x0f) === 1) onText(pending.toString('utf8', headBytes, headBytes + bytes));
      pending = pending.subarray(headBytes + bytes);
    }
  };
};

const opened = (path: string): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(path, () => resolve(socket));
    socket.once('error', reject);
  });

/** Connects and nothing more. */
export const connectRaw = async (path: string): Promise<HostilePeer> => {
  const socket = await opened(path);
  socket.removeAllListeners('error');
  socket.on('error', () => {
    // Being thrown out is what most of these peers are here for; `closed` tells it.
  });
  const peer: HostilePeer = {
    socket,
    send: (bytes) => void socket.write(bytes),
    closed: new Promise((resolve) => {
      socket.once('close', () => resolve());
    }),
    received: [],
    answer: () => undefined,
    [Symbol.dispose]: () => void socket.destroy(),
  };
  return peer;
};

/** Connects and finishes the WebSocket handshake, but says no hello. */
export const connectWebSocket = async (path: string): Promise<HostilePeer> => {
  const peer = await connectRaw(path);
  const decode = createDecoder((text) => {
    const message = JSON.parse(text) as Record<string, unknown>;
    peer.received.push(message);
    if (typeof message['method'] !== 'string' || message['id'] === undefined) return;
    const answer = peer.answer(message);
    if (answer !== undefined) peer.send(jsonFrame({ jsonrpc: '2.0', id: message['id'], result: answer }));
  });
  peer.send(HANDSHAKE);
  await new Promise<void>((resolve, reject) => {
    let head = '';
    const onData = (chunk: Buffer): void => {
      head += chunk.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end === -1) return;
      peer.socket.removeListener('data', onData);
      peer.socket.on('data', decode);
      resolve();
      const rest = Buffer.from(head.slice(end + 4), 'latin1');
      if (rest.length > 0) decode(rest);
    };
    peer.socket.on('data', onData);
    peer.socket.once('close', () => reject(new Error('closed during the handshake')));
  });
  return peer;
};

/** An agent as far as its hello; what it does next is up to the test. */
export const connectGreeted = async (path: string): Promise<HostilePeer> => {
  const peer = await connectWebSocket(path);
  peer.send(helloFrame());
  return peer;
};

/** Opens `count` connections at once; how many got through. */
export const floodConnects = async (path: string, count: number): Promise<number> => {
  const results = await Promise.allSettled(
    Array.from({ length: count }, async () => (await opened(path)).on('error', () => {}).destroy()),
  );
  return results.filter(({ status }) => status === 'fulfilled').length;
};

/** Announces a frame of `bytes` and streams it until it is thrown out. */
export const sendHugeFrame = (peer: HostilePeer, bytes: number): void => {
  peer.send(frameHead(bytes));
  peer.send(Buffer.alloc(Math.min(bytes, 1024 * 1024), 0x20));
};

/** Text that nests `depth` arrays. */
export const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

/** Plays an honest agent but for the digest: it takes any module and claims another. */
export const answerLyingAboutDigest = (request: Record<string, unknown>): unknown =>
  request['method'] === 'assign.commit'
    ? { digest: `sha256:${createHash('sha256').update('lie').digest('hex')}`, exports: [], longRunning: false }
    : null;
