/**
 * The floor of a call: bytes over two Unix sockets and back, client to relay to echo, each a process of its own.
 * Nothing is parsed; it is what the system alone takes for the way that a call goes.
 */
import { connect, createServer, type Server } from 'node:net';

const listen = (server: Server, socketPath: string): void => {
  server.listen(socketPath, () => process.send?.({ kind: 'ready' }));
};

/** Sends back what it gets. */
export const echo = (socketPath: string): void =>
  listen(
    createServer((socket) => socket.on('data', (chunk) => socket.write(chunk)).on('error', () => socket.destroy())),
    socketPath,
  );

/** Passes on, both ways, what it gets. */
export const relay = (socketPath: string, echoPath: string): void =>
  listen(
    createServer((near) => {
      const far = connect(echoPath);
      near.on('data', (chunk) => far.write(chunk)).on('error', () => near.destroy());
      far.on('data', (chunk) => near.write(chunk)).on('error', () => far.destroy());
      near.on('close', () => far.destroy());
      far.on('close', () => near.destroy());
    }),
    socketPath,
  );

/** A round trip of one line; lines in flight come back in order. */
export type HopClient = { readonly roundTrip: () => Promise<void>; readonly close: () => void };

const NEWLINE = 0x0a;

export const connectHops = async (relayPath: string, line: Buffer): Promise<HopClient> => {
  const socket = connect(relayPath);
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const waiting: (() => void)[] = [];
  let corked = false;
  socket.on('data', (chunk: Buffer) => {
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) waiting.shift()?.();
  });
  return {
    roundTrip: () =>
      new Promise((resolve) => {
        waiting.push(resolve);
        // As every part of the kernel does: what one turn writes goes out at once.
        if (!corked) {
          corked = true;
          socket.cork();
          process.nextTick(() => {
            corked = false;
            socket.uncork();
          });
        }
        socket.write(line);
      }),
    close: () => socket.destroy(),
  };
};
