import type { WebSocket } from 'ws';

const PING_INTERVAL_MS = 15_000;

/**
 * Notices a kernel that hangs while a stream is silent: a ping that is unanswered when the next is due ends the
 * connection. A pong needs the kernel's event loop, so a stopped process does not pass for a quiet one.
 *
 * @returns stops watching
 */
export const watchPeer = (socket: WebSocket, onSilent: () => void): (() => void) => {
  let answered = true;
  socket.on('pong', () => {
    answered = true;
  });
  const timer = setInterval(() => {
    if (!answered) {
      clearInterval(timer);
      onSilent();
      return;
    }
    answered = false;
    if (socket.readyState === socket.OPEN) socket.ping();
  }, PING_INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
};
