/**
 * A dockerd of a test's own, which the test may kill and stop as it likes. It shares nothing with any other engine
 * but the program. Everything is below one short directory (Unix socket paths are limited), and is removed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { engineApi, eventually, run } from './kernel.ts';

export type PrivateEngine = AsyncDisposable & {
  /** As in DOCKER_HOST. */
  readonly host: string;
  readonly directory: string;
  readonly pid: () => number;
  readonly running: () => boolean;
  /** Starts it (again), and waits until it answers. */
  readonly start: () => Promise<void>;
  /** SIGKILL to dockerd; containers and their shims go on. */
  readonly kill9: () => Promise<void>;
  readonly signal: (signal: NodeJS.Signals) => void;
};

const STOP_LIMIT_MS = 20_000;

const alive = (pid: number): boolean => {
  try {
    // A zombie of ours still has its directory, but no command line.
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== '';
  } catch {
    return false; // no such process
  }
};

/** Pids whose command line names the directory: dockerd, its containerd and its shims. */
const processesOf = (directory: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      if (pid === process.pid) return false;
      try {
        const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return (
          /^(dockerd|containerd|containerd-shim.*)$/.test(basename(commandLine[0] ?? '')) &&
          commandLine.some((word) => word.includes(`${directory}/`))
        );
      } catch {
        return false; // it ended between the two looks
      }
    });

const end = async (pid: number, signal: NodeJS.Signals): Promise<void> => {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  await eventually(`process ${pid} has ended`, () => !alive(pid), STOP_LIMIT_MS);
};

/** Starts an engine of its own. `liveRestore`: whether its containers outlive it. Needs root. */
export const startPrivateEngine = async (options: {
  readonly liveRestore: boolean;
  /** Shell scripts by the name of the runtime that each stands for. */
  readonly runtimes?: Readonly<Record<string, string>>;
}): Promise<PrivateEngine> => {
  const directory = mkdtempSync('/tmp/pe-');
  const runtimes = Object.entries(options.runtimes ?? {}).map(([name, script]) => {
    const path = join(directory, name);
    writeFileSync(path, script, { mode: 0o755 });
    return `--add-runtime=${name}=${path}`;
  });
  const socket = join(directory, 'd.sock');
  const logFile = join(directory, 'log');
  const host = `unix://${socket}`;
  let child: ChildProcess | null = null;

  const containerdPidFile = join(directory, 'exec/containerd/containerd.pid');
  const containerdLives = (): boolean =>
    existsSync(containerdPidFile) && alive(Number(readFileSync(containerdPidFile, 'utf8')));

  const start = async (): Promise<void> => {
    const log = openSync(logFile, 'a');
    // What a killed one left: a pid file makes the next refuse to start if the number lives on as another process.
    rmSync(join(directory, 'pid'), { force: true });
    // dockerd's own containerd dies with it (PR_SET_PDEATHSIG); its number in this file may be a zombie's, for which
    // the next dockerd would wait in vain.
    await eventually('no containerd is left', () => !containerdLives(), STOP_LIMIT_MS);
    rmSync(containerdPidFile, { force: true });
    const started = spawn(
      'dockerd',
      [
        '--data-root',
        join(directory, 'data'),
        '--exec-root',
        join(directory, 'exec'),
        '--pidfile',
        join(directory, 'pid'),
        '-H',
        host,
        '--iptables=false',
        '--ip6tables=false',
        '--ip-forward=false',
        '--ip-masq=false',
        '--bridge=none',
        `--live-restore=${options.liveRestore}`,
        ...runtimes,
      ],
      { stdio: ['ignore', log, log], detached: true },
    );
    child = started;
    closeSync(log);
    await eventually(
      `the engine in ${directory} answers`,
      async () => {
        if (started.exitCode !== null) throw new Error(`dockerd ended: ${readFileSync(logFile, 'utf8').slice(-2_000)}`);
        return engineApi('GET', '/info', host);
      },
      60_000,
    );
  };
  const pid = (): number => child?.pid ?? -1;
  const running = (): boolean => child !== null && child.exitCode === null && child.signalCode === null;

  const removeContainers = async (): Promise<void> => {
    const rows = await engineApi<{ Id: string }[]>('GET', '/containers/json?all=1', host);
    for (const { Id } of rows) await engineApi('DELETE', `/containers/${Id}?force=1&v=1`, host);
  };

  const dispose = async (): Promise<void> => {
    if (running()) {
      process.kill(pid(), 'SIGCONT');
      await removeContainers();
      await end(pid(), 'SIGTERM');
    }
    // Left over when dockerd was killed; shims last, since each holds a container.
    for (const left of processesOf(directory)) await end(left, 'SIGKILL');
    const mounts = readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .flatMap((line) => line.split(' ')[1] ?? []);
    for (const mount of mounts.filter((path) => path.startsWith(`${directory}/`)).toReversed())
      await run('umount', ['-l', mount]);
    rmSync(directory, { recursive: true, force: true });
  };

  const engine: PrivateEngine = {
    host,
    directory,
    pid,
    running,
    start,
    kill9: () => end(pid(), 'SIGKILL'),
    signal: (signal) => void process.kill(pid(), signal),
    [Symbol.asyncDispose]: dispose,
  };
  try {
    await start();
  } catch (error) {
    await dispose();
    throw error;
  }
  return engine;
};
