/**
 * The agent of a hostile zone image: PID 1 of a real container, in the place of the real agent. It plays honest as far
 * as its attack needs, then attacks until it is ended.
 */
import { statfsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { AGENT_SOCKET } from '../../Kernel/contract/wire/agent.constants.ts';
import { ATTACKS, type Attack } from './hostile-attacks.table.ts';
import {
  answerLyingAboutDigest,
  connectGreeted,
  connectRaw,
  connectWebSocket,
  frame,
  frameHead,
  helloFrame,
  jsonFrame,
  nested,
  type HostilePeer,
} from './hostile-peer.ts';

const MIB = 1024 * 1024;
const BATCH = 2_000;

/** Writes the same bytes as fast as they are taken, for ever. */
const pour = async (peer: HostilePeer, bytes: Buffer): Promise<void> => {
  const { socket } = peer;
  const many = Buffer.concat(
    Array.from({ length: Math.max(1, Math.min(BATCH, Math.floor(MIB / bytes.length))) }, () => bytes),
  );
  while (!socket.destroyed) {
    if (socket.write(many)) await new Promise((resolve) => setImmediate(resolve));
    else
      await new Promise<void>((resolve) => {
        const go = (): void => {
          socket.removeListener('drain', go);
          socket.removeListener('close', go);
          resolve();
        };
        socket.once('drain', go);
        socket.once('close', go);
      });
  }
};

/** Answers as the real agent would, until its module is ready; `onCall` is asked for every call. */
const playHonest = async (
  onCall: (peer: HostilePeer, request: Record<string, unknown>) => unknown,
): Promise<HostilePeer> => {
  const peer = await connectWebSocket(AGENT_SOCKET);
  let digest: unknown;
  peer.answer = (request) => {
    switch (request['method']) {
      case 'assign.begin':
        digest = (request['params'] as { digest: unknown }).digest;
        return null;
      case 'assign.commit':
        return { digest, exports: ['ok'], longRunning: false };
      case 'ping':
        return { lagMs: 0, rssBytes: 1, inFlight: 0 };
      case 'call':
        return onCall(peer, request);
      default:
        return null;
    }
  };
  peer.send(helloFrame());
  return peer;
};

const flood = async (bytes: Buffer): Promise<void> => pour(await connectGreeted(AGENT_SOCKET), bytes);
const once = async (bytes: Buffer): Promise<void> => (await connectGreeted(AGENT_SOCKET)).send(bytes);

const attacks: Readonly<Record<Attack, () => Promise<unknown>>> = {
  'connect-flood': async () => {
    for (;;) {
      try {
        (await connectRaw(AGENT_SOCKET)).socket.destroy();
      } catch {
        // Nobody listens just now.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  },
  'slow-handshake': async () => {
    for (;;) {
      try {
        const peer = await connectRaw(AGENT_SOCKET);
        for (const letter of 'GET / HTTP/1.1\r\nHost: kernel\r\n'.repeat(100)) {
          if (peer.socket.destroyed) break;
          peer.send(letter);
          await delay(100);
        }
      } catch {
        await delay(20);
      }
    }
  },
  'no-hello': async () =>
    (await connectWebSocket(AGENT_SOCKET)).send(
      jsonFrame({ jsonrpc: '2.0', id: 1, method: 'bus.publish', params: { topic: 'a', payload: 1 } }),
    ),
  'other-protocol': async () => (await connectWebSocket(AGENT_SOCKET)).send(helloFrame({ protocol: 999 })),
  'other-instance': async () => (await connectWebSocket(AGENT_SOCKET)).send(helloFrame({ instance: 'i-000000000000' })),
  'claims-a-module': async () =>
    (await connectWebSocket(AGENT_SOCKET)).send(
      helloFrame({ assigned: { module: 'witness', digest: `sha256:${'0'.repeat(64)}` } }),
    ),
  'second-hello': async () => {
    const peer = await connectGreeted(AGENT_SOCKET);
    peer.send(helloFrame());
  },
  'frame-flood': () => flood(jsonFrame({ jsonrpc: '2.0', method: 'x' })),
  'request-flood': () =>
    flood(jsonFrame({ jsonrpc: '2.0', id: 7, method: 'bus.publish', params: { topic: 'a', payload: 1 } })),
  'ping-flood': () => flood(frame('', 9)),
  'fragment-flood': async () => {
    const peer = await connectGreeted(AGENT_SOCKET);
    peer.send(frame('{', 1, false));
    await pour(peer, frame(' ', 0, false));
  },
  'reply-flood': () => flood(jsonFrame({ jsonrpc: '2.0', id: 'guessed.1', result: 'x'.repeat(64 * 1024) })),
  'output-flood': () =>
    flood(
      jsonFrame({
        jsonrpc: '2.0',
        method: 'output',
        params: { stream: 'stdout', level: 'info', text: 'x'.repeat(1024), at: 0, droppedBytes: 0 },
      }),
    ),
  'huge-frame': async () => {
    const peer = await connectGreeted(AGENT_SOCKET);
    peer.send(frameHead(100 * MIB));
    await pour(peer, Buffer.alloc(64 * 1024, 0x20));
  },
  'deep-nesting': () => once(frame(nested(1_000_000))),
  malformed: () => once(frame('{"jsonrpc":"2.0",,}')),
  'binary-frame': () => once(frame(Buffer.from([1, 2, 3]), 2)),
  'half-frame': async () => {
    const peer = await connectGreeted(AGENT_SOCKET);
    peer.send(frameHead(1_000));
    peer.send('{"jsonrpc"');
  },
  'answers-nothing': () => connectGreeted(AGENT_SOCKET),
  'lies-about-digest': async () => {
    const peer = await connectWebSocket(AGENT_SOCKET);
    peer.answer = answerLyingAboutDigest;
    peer.send(helloFrame());
  },
  'huge-result': () =>
    playHonest((peer, { id }) => {
      peer.send(frameHead(100 * MIB));
      void pour(peer, Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, result: 'x'.repeat(64 * 1024) })));
      return undefined;
    }),
  'stops-reading': () =>
    playHonest((peer) => {
      peer.socket.pause();
      return undefined;
    }),
};

const { blocks, bsize } = statfsSync('/tmp');
const attack = ATTACKS[Math.round((blocks * bsize) / MIB) - 1];
// Keeps the process for as long as the kernel lets it.
setInterval(() => {}, 1_000_000);
// An attack goes on whatever the kernel does to its connection.
process.on('uncaughtException', () => {});
process.on('unhandledRejection', () => {});
if (attack !== undefined) await attacks[attack]();
