/**
 * Makes links: the socket of an instance from the listening file to the greeted connection.
 *
 * ```
 *  listening --accept--> handshaking --hello--> greeted --lost--> (back-off) --> listening
 *                             |                    |
 *                             +---- violation -----+--> barred      close() from anywhere --> closed
 * ```
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { WebSocketServer } from 'ws';
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import type { Clock, Log, Random } from '../../Kernel/contract/ports.ts';
import { AGENT_SOCKET_FILE } from '../../Kernel/contract/wire/agent.constants.ts';
import { createConnection, type Connection } from './connection.ts';
import type { InstanceLink, OpenLink } from './link.ts';
import { createListener } from './listener.ts';
import { createTimers } from './timers.ts';

/** From accept to a finished WebSocket handshake. */
export const HANDSHAKE_TIMEOUT_MS = 2000;
/** Connections in a row that never said hello: whoever makes them is no agent. */
export const FAILED_GREETINGS_MAX = 8;
const MAX_HEADER_BYTES = 8 * 1024;
/** Frames of one fragmented message, and pieces of one frame: the agent sends one and few. */
const MAX_FRAGMENTS = 64;
const MAX_CHUNKS = 8192;
const REOPEN_MAX_MS = 2000;
const REOPEN_STEP_MS = 50;
/** A connection that lived this long clears the back-off. */
const SETTLED_MS = 1000;

export type OpenLinkPorts = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** How fast spent credit for output is given back: `logs.module.bytesPerSecond`; asked for at each use. */
  readonly outputBytesPerSecond?: () => number;
};

const DEFAULT_OUTPUT_BYTES_PER_SECOND = 512 * 1024;

/** Parses handshakes of all links; it never listens, sockets are handed to it. */
const createHandshaker = (): Server => {
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, keepAlive: false });
  server.on('request', (request) => request.socket.destroy());
  server.on('clientError', (_error, socket) => socket.destroy());
  return server;
};

/** A factory of links. Nothing is opened until a link is asked for. */
export const createOpenLink = (ports: OpenLinkPorts): OpenLink => {
  const { clock, log } = ports;
  const handshaker = createHandshaker();
  const upgrades = new WeakMap<object, (request: IncomingMessage, socket: Socket, head: Buffer) => void>();
  handshaker.on('upgrade', (request, socket, head) => upgrades.get(socket)?.(request, socket as Socket, head));

  return async ({ instance, directory, limits, handlers }) => {
    const timers = createTimers(clock);
    const webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      autoPong: false,
      maxPayload: limits.maxFrameBytes,
      maxFragments: MAX_FRAGMENTS,
      maxBufferedChunks: MAX_CHUNKS,
    });
    let connection: Connection | undefined;
    let handshaking: Socket | undefined;
    let barred = false;
    let closed = false;
    let failedGreetings = 0;
    let shortLives = 0;

    const bar = (error: KernelError): void => {
      if (barred || closed) return;
      barred = true;
      timers.dispose();
      log.warn('an instance broke the protocol', { instance, code: error.code, reason: error.message });
      handlers.onViolation(error);
    };

    const reopen = (delayMs: number): void => {
      if (barred || closed) return;
      const attempt = (): void => {
        listener.open().catch((thrown: unknown) => {
          if (closed) return;
          log.error('the socket of an instance cannot be opened again', {
            instance,
            error: toKernelError(thrown).message,
          });
          reopen(REOPEN_MAX_MS);
        });
      };
      if (delayMs === 0) attempt();
      else timers.after(delayMs, attempt);
    };

    /** A connection or handshake is over; `greeted` tells whether an agent was behind it. */
    const ended = (greeted: boolean, sinceMs: number): void => {
      connection = undefined;
      handshaking = undefined;
      if (closed || barred) return;
      failedGreetings = greeted ? 0 : failedGreetings + 1;
      if (failedGreetings >= FAILED_GREETINGS_MAX) {
        return bar(new KernelError('PROTOCOL', `${failedGreetings} connections in a row ended without a hello`));
      }
      shortLives = clock.monotonicMs() - sinceMs >= SETTLED_MS ? 0 : shortLives + 1;
      reopen(shortLives <= 1 ? 0 : Math.min(REOPEN_MAX_MS, REOPEN_STEP_MS * 2 ** (shortLives - 2)));
    };

    const accept = (socket: Socket): void => {
      const sinceMs = clock.monotonicMs();
      handshaking = socket;
      const onClose = (): void => {
        stopTimer();
        ended(false, sinceMs);
      };
      const stopTimer = timers.after(HANDSHAKE_TIMEOUT_MS, () => socket.destroy());
      socket.on('error', () => {
        // Told by `close`, which always follows.
      });
      socket.once('close', onClose);
      upgrades.set(socket, (request, _socket, head) => {
        webSockets.handleUpgrade(request, socket, head, (ws) => {
          stopTimer();
          socket.removeListener('close', onClose);
          handshaking = undefined;
          connection = createConnection(ws, socket, {
            clock,
            random: ports.random,
            log,
            instance,
            limits,
            outputBytesPerSecond: ports.outputBytesPerSecond ?? (() => DEFAULT_OUTPUT_BYTES_PER_SECOND),
            handlers,
            onViolation: (error, greeted) => {
              connection = undefined;
              bar(error);
              if (greeted && !closed) handlers.onDisconnect();
            },
            onEnded: (greeted) => {
              ended(greeted, sinceMs);
              if (greeted && !closed) handlers.onDisconnect();
            },
          });
        });
      });
      handshaker.emit('connection', socket);
      socket.resume();
    };

    const listener = createListener(join(directory, AGENT_SOCKET_FILE), accept);
    await listener.open();

    const close = async (): Promise<void> => {
      if (!closed) {
        closed = true;
        timers.dispose();
        handshaking?.destroy();
        connection?.destroy();
        connection = undefined;
        webSockets.close();
      }
      await listener.close();
    };
    const lost = (): KernelError => new KernelError('INSTANCE_LOST', 'the instance is not connected');

    const link: InstanceLink = {
      instance,
      connected: () => connection?.connected() ?? false,
      writable: () => connection?.writable() ?? false,
      request: (method, params, options) =>
        connection === undefined ? Promise.reject(lost()) : connection.request(method, params, options),
      notify: (method, params) => connection?.notify(method, params),
      inFlight: () => connection?.inFlight() ?? 0,
      close,
      [Symbol.asyncDispose]: close,
    };
    return link;
  };
};
