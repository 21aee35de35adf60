/** PM2's daemon beside which kerneld idles. Installed on demand, outside the tree: nothing else needs it. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { eventually, run } from '../support/kernel.ts';

const VERSION = '6';
const INSTALL_TIMEOUT_MS = 60_000;
const COMMAND_TIMEOUT_MS = 30_000;

/** Below the user's own cache, never in the shared /tmp, where another could put code for us to run. */
const CACHE = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'kerneld/bench', `pm2-${VERSION}`);
const PROGRAM = join(CACHE, 'node_modules/pm2/bin/pm2');

export type Pm2 = AsyncDisposable & { readonly version: string; readonly pid: number };

/** Null and a reason when it can't be had. */
const ensureInstalled = async (): Promise<string | null> => {
  if (existsSync(PROGRAM)) return null;
  mkdirSync(CACHE, { recursive: true, mode: 0o700 });
  const npm = ['i', '--prefix', CACHE, '--no-audit', '--no-fund', '--ignore-scripts', `pm2@${VERSION}`];
  try {
    const { status, stderr } = await run('npm', npm, { cwd: CACHE, timeoutMs: INSTALL_TIMEOUT_MS });
    return status === 0 && existsSync(PROGRAM) ? null : `npm could not bring it: ${stderr.trim().split('\n').at(-1)}`;
  } catch (error) {
    return `npm does not run: ${String(error)}`;
  }
};

/** Its daemon with so many idle scripts, in a home of its own. A text says why there is none. */
export const startPm2 = async (scripts: number): Promise<Pm2 | string> => {
  const missing = await ensureInstalled();
  if (missing !== null) return missing;
  const home = mkdtempSync('/tmp/kb-pm2-');
  const env = { PM2_HOME: home, PM2_DISABLE_VERSION_CHECK: 'true', NODE_OPTIONS: '' };
  const pm2 = (...args: string[]) =>
    run(process.execPath, [PROGRAM, ...args], { cwd: home, env, timeoutMs: COMMAND_TIMEOUT_MS });
  const stop = async (): Promise<void> => {
    await pm2('kill');
    rmSync(home, { recursive: true, force: true });
  };
  try {
    const script = join(home, 'idle.cjs');
    writeFileSync(script, 'setInterval(() => {}, 1e6);\n');
    const apps = Array.from({ length: scripts }, (_, i) => ({ name: `idle-${i}`, script, exec_mode: 'fork' }));
    const file = join(home, 'bench.config.cjs');
    writeFileSync(file, `module.exports = ${JSON.stringify({ apps })};\n`);
    const started = await pm2('start', file);
    if (started.status !== 0) throw new Error(`pm2 start: ${started.stderr || started.stdout}`);
    const pid = await eventually('the daemon of PM2 runs', () => Number(readFileSync(join(home, 'pm2.pid'), 'utf8')));
    const { version } = JSON.parse(readFileSync(join(dirname(PROGRAM), '../package.json'), 'utf8')) as {
      version: string;
    };
    return { version, pid, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
};
