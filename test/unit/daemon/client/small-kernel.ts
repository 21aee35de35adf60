/** A small real server that speaks the protocol over a real Unix socket, with switches for misbehaviour. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocketServer, type WebSocket } from 'ws';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import { encodeError } from '../../../../Kernel/contract/wire/jsonrpc.schema.ts';

type Frame = { readonly id?: number; readonly method: string; readonly params: Record<string, unknown> };
export type Answer = (params: Record<string, unknown>, signal: AbortSignal) => unknown;
export type Items = (params: Record<string, unknown>, signal: AbortSignal) => AsyncIterable<unknown>;
export type Behaviour = {
  readonly answers?: Readonly<Record<string, Answer>>;
  readonly streams?: Readonly<Record<string, Items>>;
  /** Takes a connection's frames over from the usual handling. */
  readonly raw?: (socket: WebSocket, frame: Frame) => void;
  /** Status and body of every HTTP answer. */
  readonly http?: { readonly status: number; readonly body: string };
};
export type SmallKernel = AsyncDisposable & {
  readonly socketPath: string;
  /** Methods of all requests and notifications, in order. */
  readonly heard: Frame[];
  readonly connections: () => Iterable<WebSocket>;
  /** Items sent by streams. */
  readonly sent: () => number;
};

const reply = async (answer: Answer | undefined, frame: Frame, signal: AbortSignal): Promise<object> => {
  try {
    if (answer === undefined) throw new KernelError('METHOD_NOT_FOUND', `no operation ${frame.method}`);
    return { jsonrpc: '2.0', id: frame.id, result: (await answer(frame.params, signal)) ?? null };
  } catch (error) {
    return { jsonrpc: '2.0', id: frame.id, error: encodeError(error as KernelError) };
  }
};

export const startSmallKernel = async (behaviour: Behaviour): Promise<SmallKernel> => {
  const directory = await mkdtemp(join(tmpdir(), 'small kernel:'));
  const socketPath = join(directory, 'operator.sock');
  const heard: Frame[] = [];
  let sent = 0;

  const http = createServer((request, response) => {
    const abort = new AbortController();
    response.on('close', () => abort.abort());
    let body = '';
    request.on('data', (part: Buffer) => {
      body += part.toString();
    });
    request.on('end', async () => {
      const frame = JSON.parse(body) as Frame;
      heard.push(frame);
      const text =
        behaviour.http?.body ?? JSON.stringify(await reply(behaviour.answers?.[frame.method], frame, abort.signal));
      response.writeHead(behaviour.http?.status ?? 200, { 'content-length': Buffer.byteLength(text) }).end(text);
    });
  });
  const sockets = new WebSocketServer({ server: http, path: '/rpc', perMessageDeflate: false });
  sockets.on('connection', (socket) => {
    const running = new Map<number, { abort: AbortController; credit: number; wake: () => void }>();
    const send = (frame: object) => socket.send(JSON.stringify({ jsonrpc: '2.0', ...frame }));
    const pump = async (
      items: Items,
      frame: Frame & { id: number },
      entry: { abort: AbortController; credit: number; wake: () => void },
    ) => {
      let seq = 0;
      for await (const value of items(frame.params, entry.abort.signal)) {
        while (entry.credit === 0 && !entry.abort.signal.aborted)
          await new Promise<void>((resolve) => {
            entry.wake = resolve;
          });
        if (entry.abort.signal.aborted) break;
        entry.credit -= 1;
        sent += 1;
        send({ method: '$/progress', params: { id: frame.id, seq, value } });
        seq += 1;
      }
      return null;
    };
    socket.on('message', async (data) => {
      const frame = JSON.parse(String(data)) as Frame;
      heard.push(frame);
      if (behaviour.raw !== undefined) return behaviour.raw(socket, frame);
      const target = running.get(frame.params['id'] as number);
      if (frame.method === '$/cancel') {
        target?.abort.abort();
        target?.wake();
        return;
      }
      if (frame.method === '$/credit') {
        if (target) {
          target.credit += frame.params['items'] as number;
          target.wake();
        }
        return;
      }
      const id = frame.id as number;
      const entry = { abort: new AbortController(), credit: 64, wake: () => {} };
      running.set(id, entry);
      const items = behaviour.streams?.[frame.method];
      const answer: Answer | undefined =
        items === undefined ? behaviour.answers?.[frame.method] : () => pump(items, { ...frame, id }, entry);
      const text = await reply(answer, frame, entry.abort.signal);
      running.delete(id);
      if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(text));
    });
  });
  await new Promise<void>((resolve) => http.listen(socketPath, resolve));
  return {
    socketPath,
    heard,
    connections: () => sockets.clients,
    sent: () => sent,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets.clients) socket.terminate();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
      await rm(directory, { recursive: true, force: true });
    },
  };
};

/** Waits until something is so, at most two seconds. */
export const until = async (holds: () => boolean): Promise<void> => {
  for (let tries = 0; !holds(); tries += 1) {
    if (tries > 200) throw new Error('it did not come to pass');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};
