import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Stop } from './terminal.mjs';

/**
 * Runs `work` while holding a lock of the operating system on `file`.
 *
 * flock(1) holds it on our behalf and lets go when its input closes, so however this process ends,
 * kill -9 included, no stale lock is left. The daemons we start never inherit it.
 */
export async function withLock(file, waitSeconds, work) {
  mkdirSync(dirname(file), { recursive: true, mode: 0o711 });
  const holder = spawn('flock', ['--wait', String(waitSeconds), file, 'sh', '-c', 'echo held; cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => holder.once('close', resolve));
  try {
    await new Promise((resolve, reject) => {
      holder.stdout.once('data', resolve);
      holder.once('error', (error) => reject(new Stop(`flock does not start: ${error.message}`, 'install util-linux')));
      holder.once('exit', () =>
        reject(new Stop(`another start or stop has held ${file} for ${waitSeconds} s`, 'wait for it, or end it')),
      );
    });
    return await work();
  } finally {
    holder.stdin.destroy();
    await ended;
  }
}
