/** Stands between a kernel and the engine, and makes the engine refuse or hang as a test wants it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { ENGINE_HOST } from './kernel.ts';

export type EngineProxy = AsyncDisposable & {
  readonly host: string;
  /** `pass`: as if it were not there; `refuseCreate`: no container is made, as on a full disk; `hang`: nothing is answered. */
  setMode: (mode: 'pass' | 'refuseCreate' | 'hang') => void;
};

const REFUSAL = JSON.stringify({ message: 'no space left on device' });
const CREATE = /^POST \/(?:v[\d.]+\/)?containers\/create/;

export const startEngineProxy = async (): Promise<EngineProxy> => {
  const directory = mkdtempSync('/tmp/px-');
  const path = join(directory, 'd.sock');
  const sockets = new Set<Socket>();
  let mode: 'pass' | 'refuseCreate' | 'hang' = 'pass';
  const held: (() => void)[] = [];

  const server = createServer((client) => {
    const engine = connect(ENGINE_HOST.replace('unix://', ''));
    for (const socket of [client, engine]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        engine.destroy();
      });
    }
    engine.on('data', (chunk) => {
      if (mode === 'hang') held.push(() => client.write(chunk));
      else client.write(chunk);
    });
    client.on('data', (chunk) => {
      if (mode === 'hang') held.push(() => engine.write(chunk));
      else if (mode === 'refuseCreate' && CREATE.test(chunk.toString('latin1'))) {
        client.end(
          `HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: ${REFUSAL.length}\r\nConnection: close\r\n\r\n${REFUSAL}`,
        );
      } else engine.write(chunk);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));

  return {
    host: `unix://${path}`,
    setMode: (next) => {
      mode = next;
      if (next === 'pass') for (const release of held.splice(0)) release();
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      rmSync(directory, { recursive: true, force: true });
    },
  };
};
