/** A control server on a real socket, and the least client that can talk to it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import type { Log } from '../../Kernel/contract/ports.ts';
import type { Handlers } from '../../Kernel/gate/call.ts';
import { createClock } from '../../daemon/adapters/clock.ts';
import { openControlServer, type ControlServerOptions } from '../../daemon/control/control-server.ts';
import { testGate } from './gate-fixture.ts';

const silent = (): undefined => undefined;
export const noLog: Log = {
  debug: silent,
  info: silent,
  warn: silent,
  error: silent,
  critical: silent,
  child: () => noLog,
};

export const LIMITS = { maxFrameBytes: 64 * 1024, maxConnections: 300, maxInFlight: 64 };

export const temporaryDirectory = async () => {
  const path = await mkdtemp(join(tmpdir(), 'kd-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
};

export const openServer = async (
  changed: Partial<Handlers> = {},
  options: Partial<ControlServerOptions> = {},
  gateOptions: Parameters<typeof testGate>[1] = {},
) => {
  const directory = await temporaryDirectory();
  const { gate } = testGate(changed, gateOptions);
  const socketPath = join(directory.path, 'operator.sock');
  const server = await openControlServer({
    socketPath,
    socketKind: 'operator',
    mode: 0o600,
    gate,
    limits: LIMITS,
    clock: createClock(),
    log: noLog,
    ...options,
  });
  return {
    server,
    gate,
    socketPath: server.socketPath,
    [Symbol.asyncDispose]: async () => {
      await server.close();
      await directory[Symbol.asyncDispose]();
    },
  };
};

export type Reply = {
  id: unknown;
  result?: unknown;
  error?: { code: number; message: string; data: { code: string } };
  method?: string;
  params?: { id: unknown; seq: number; value: unknown };
};

/** Collects every frame; `next` waits for the first that fits. */
export const openClient = async (socketPath: string, path = '/rpc') => {
  const ws = new WebSocket(`ws+unix:${socketPath}:${path}`, { perMessageDeflate: false });
  const frames: Reply[] = [];
  let closed: number | null = null;
  let socket: Socket | null = null;
  ws.on('upgrade', (response) => (socket = response.socket));
  ws.on('message', (data) => frames.push(JSON.parse(String(data)) as Reply));
  ws.on('error', () => undefined);
  ws.on('close', (code) => (closed = code));
  await new Promise<void>((resolve, reject) => {
    ws.once('open', resolve);
    ws.once('error', reject);
  });
  return {
    ws,
    frames,
    socket: socket as unknown as Socket,
    closed: () => closed,
    send: (frame: unknown) => ws.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),
    next: async (fits: (reply: Reply) => boolean): Promise<Reply> => {
      await until(() => frames.some(fits));
      return frames.find(fits)!;
    },
    [Symbol.dispose]: () => ws.terminate(),
  };
};

export const until = async (condition: () => boolean, timeoutMs = 4_000): Promise<void> => {
  const endsAtMs = performance.now() + timeoutMs;
  while (!condition() && performance.now() < endsAtMs) await sleep(2);
  expect(condition()).toBe(true);
};

export const rpc = (id: unknown, method: string, params?: unknown) => ({
  jsonrpc: '2.0',
  id,
  method,
  ...(params === undefined ? {} : { params }),
});

export const http = (socketPath: string, method: string, path: string, body?: string) =>
  new Promise<{ status: number; body: string }>((resolve, reject) => {
    const outgoing = request({ socketPath, method, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode!, body: text }));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });

/** Writes bytes as they are and gives what comes back until the peer hangs up. */
export const raw = (socketPath: string, bytes: string | Buffer) =>
  new Promise<string>((resolve) => {
    const socket = connect(socketPath);
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
    socket.write(bytes);
  });
