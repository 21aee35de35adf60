/**
 * A control socket: JSON-RPC over WebSocket at `/rpc` and `/`, and plain HTTP (DESIGN section 6). It knows no
 * operation but the two that the probes show; everything goes through the gate.
 */
import { createServer, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { OperatorWireLimits } from '../../Kernel/contract/effective-config.ts';
import type { SocketKind } from '../../Kernel/contract/operations/define.ts';
import type { Clock, Log } from '../../Kernel/contract/ports.ts';
import type { Principal } from '../../Kernel/gate/call.ts';
import type { Gate } from '../../Kernel/gate/gate.ts';
import type { RunningCall } from '../../Kernel/gate/running-call.ts';
import { findGroupId } from './group.ts';
import { serveHttp } from './http-routes.ts';
import { Session } from './session.ts';
import { listenOnUnixSocket } from './unix-listener.ts';

/** A peer that has not finished its headers or its body by then is cut off. */
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_TIMEOUT_MS = 30_000;
const CHECK_INTERVAL_MS = 1_000;
const MAX_HEADER_BYTES = 16 * 1024;
const PING_INTERVAL_MS = 15_000;
/** For closing handshakes before connections are cut. */
const CLOSE_GRACE_MS = 200;
/** Answers that may wait for a client, which is not read from once 1 MiB waits; one read may hold many requests. */
const MIN_BUFFERED_BYTES = 16 * 1024 * 1024;
/** Connections over the limit that may wait for their refusal; beyond, they are dropped unheard. */
const REFUSAL_MARGIN = 32;

export type ControlServerOptions = {
  readonly socketPath: string;
  readonly socketKind: SocketKind;
  /** 0660 makes sense with `group` only. */
  readonly mode: 0o600 | 0o660;
  readonly group?: string | null;
  readonly gate: Gate;
  readonly limits: OperatorWireLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** Who speaks through this socket; the kind of the socket when absent. */
  readonly principalName?: string;
  readonly pingIntervalMs?: number;
};

export type ControlServer = AsyncDisposable & {
  readonly socketPath: string;
  readonly figures: () => { readonly connections: number; readonly inFlight: number; readonly refused: number };
  /** Holds for connections made from now on. `maxInFlight` is the gate's affair. */
  readonly setLimits: (limits: OperatorWireLimits) => void;
  /** New connections are refused; those that stand go on. */
  readonly stopAccepting: () => void;
  /** Ends streams, waits for requests in flight, and withdraws those still running after the time. Gives their number. */
  readonly drain: (timeoutMs: number) => Promise<number>;
  /** Closes every connection and removes the socket file. Safe to call twice. */
  readonly close: () => Promise<void>;
};

/** @throws KernelError `SOCKET_PATH_TOO_LONG`, `SOCKET_UNAVAILABLE` */
export const openControlServer = async (options: ControlServerOptions): Promise<ControlServer> => {
  const { gate, clock, log, socketKind } = options;
  const principal: Principal = Object.freeze({ kind: socketKind, name: options.principalName ?? socketKind });
  const groupId = options.group === undefined || options.group === null ? null : await findGroupId(options.group);
  const sockets = new Set<Socket>();
  const sessions = new Set<Session>();
  let { limits } = options;
  let refused = 0;

  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
  });
  const posted = new Set<RunningCall>();
  const http = { gate, principal, socketKind, maxFrameBytes: () => limits.maxFrameBytes, calls: posted };
  server.on('request', (request, response) => void serveHttp(request, response, http));

  server.on('connection', (socket) => {
    if (sockets.size >= limits.maxConnections) {
      refused += 1;
      if (refused % 100 === 1)
        log.warn('a connection was refused, the limit is reached', { limit: limits.maxConnections, refused });
      return refuse(
        socket,
        503,
        new KernelError('LIMIT_EXCEEDED', `${limits.maxConnections} connections are open, which is the limit`, {
          retryAfterMs: 1_000,
        }),
      );
    }
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.maxConnections = limits.maxConnections + REFUSAL_MARGIN;

  const upgrader = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: limits.maxFrameBytes,
  });
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    const socket = stream as Socket;
    socket.on('error', () => socket.destroy());
    const path = (request.url ?? '').split('?', 1)[0];
    if (path !== '/' && path !== '/rpc')
      return refuse(socket, 404, new KernelError('NOT_FOUND', 'there is nothing at this path'));
    if (request.headers.origin !== undefined) {
      // Only browsers send it: a page that reaches this socket through some proxy must not command the kernel.
      return refuse(socket, 403, new KernelError('DENIED', 'browsers are not served'));
    }
    upgrader.handleUpgrade(request, socket, head, (ws) => {
      sessions.add(
        new Session(ws, socket, {
          gate,
          principal,
          socketKind,
          maxFrameBytes: limits.maxFrameBytes,
          maxBufferedBytes: Math.max(MIN_BUFFERED_BYTES, 4 * limits.maxFrameBytes),
          onClosed: (session) => sessions.delete(session),
        }),
      );
    });
  });

  server.on('clientError', (error: NodeJS.ErrnoException, stream) => {
    const status = CLIENT_ERRORS.get(error.code ?? '') ?? 400;
    refuse(
      stream as Socket,
      status,
      new KernelError('INVALID_REQUEST', 'this is not an HTTP request that can be served'),
    );
  });

  const listener = await listenOnUnixSocket(server, { path: options.socketPath, mode: options.mode, groupId });
  server.on('error', (error) => log.error('the control socket failed', { socket: options.socketPath, error }));

  let cancelPing = (): void => undefined;
  const pingAll = (): void => {
    for (const session of [...sessions]) session.checkAlive();
    cancelPing = clock.after(options.pingIntervalMs ?? PING_INTERVAL_MS, pingAll);
  };
  cancelPing = clock.after(options.pingIntervalMs ?? PING_INTERVAL_MS, pingAll);

  const inFlight = (): number => [...sessions].reduce((sum, session) => sum + session.inFlight, posted.size);
  const withdrawAll = (): void => {
    const ended = new KernelError('STOPPING', 'the kernel is stopping');
    for (const session of sessions) session.cancelAll(ended);
    for (const call of [...posted]) call.cancel(ended);
  };
  const stopAccepting = (): void => {
    if (server.listening) server.close();
  };

  let closing: Promise<void> | null = null;
  const close = async (): Promise<void> => {
    cancelPing();
    stopAccepting();
    withdrawAll();
    // The replies that say so are written in the next turn, and not any more once a session closes.
    await new Promise((resolve) => setImmediate(resolve));
    for (const session of [...sessions]) session.close();
    await waitUntil(clock, () => sessions.size === 0, CLOSE_GRACE_MS);
    for (const session of [...sessions]) session.terminate();
    for (const socket of [...sockets]) socket.destroy();
    await listener.unlink();
  };

  return {
    socketPath: options.socketPath,
    figures: () => ({ connections: sockets.size, inFlight: inFlight(), refused }),
    setLimits: (next) => {
      limits = next;
      server.maxConnections = next.maxConnections + REFUSAL_MARGIN;
      upgrader.options.maxPayload = next.maxFrameBytes;
    },
    stopAccepting,
    drain: async (timeoutMs) => {
      const ended = new KernelError('STOPPING', 'the kernel is stopping');
      for (const session of sessions) session.cancelAll(ended, 'streams');
      await waitUntil(clock, () => inFlight() === 0, timeoutMs);
      const remaining = inFlight();
      withdrawAll();
      return remaining;
    },
    close: () => (closing ??= close()),
    [Symbol.asyncDispose]: () => (closing ??= close()),
  };
};

const CLIENT_ERRORS = new Map([
  ['HPE_HEADER_OVERFLOW', 431],
  ['ERR_HTTP_REQUEST_TIMEOUT', 408],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', 413],
]);
const POLL_MS = 10;

const waitUntil = (clock: Clock, condition: () => boolean, timeoutMs: number): Promise<void> => {
  const endsAtMs = clock.monotonicMs() + timeoutMs;
  return new Promise((resolve) => {
    const check = (): void => {
      if (condition() || clock.monotonicMs() >= endsAtMs) resolve();
      else clock.after(POLL_MS, check);
    };
    check();
  });
};

/** Answers outside the HTTP machinery and hangs up. */
const refuse = (socket: Socket, status: number, error: KernelError): void => {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify({ error: error.toBody() });
  socket.on('error', () => socket.destroy());
  socket.setTimeout(HEADERS_TIMEOUT_MS, () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status} Refused\r\ncontent-type: application/json; charset=utf-8\r\nconnection: close\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  );
};
