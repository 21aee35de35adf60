/**
 * The project's own dockerd: one for the machine, shared by all homes.
 *
 * It runs in its own session and control group, so that nothing that ends its starter ends it, and
 * with live-restore, so that its own end stops no container. No bridge and no packet filter: instances
 * have no network, so it needs neither iptables nor a change to the machine's routing.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { containersWith, ping } from './engine-api.mjs';
import { lastLines, Stop } from './terminal.mjs';

const READY_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 30_000;
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;
/** `sun_path` holds 107 bytes and a zero; dockerd and its containerd put their own sockets below the home. */
const SOCKET_LIMIT_BYTES = 107;
const LONGEST_SOCKET = 'exec/containerd/containerd-debug.sock.ttrpc';

/** Where everything of the private engine lies. */
export function layout(home = process.env.KERNELD_ENGINE_HOME || '/var/lib/kerneld-engine') {
  if (!isAbsolute(home)) throw new Stop(`KERNELD_ENGINE_HOME is not an absolute path: ${home}`, 'set it to one');
  const longest = Buffer.byteLength(join(home, LONGEST_SOCKET));
  if (longest > SOCKET_LIMIT_BYTES) {
    const room = SOCKET_LIMIT_BYTES - LONGEST_SOCKET.length - 1;
    throw new Stop(
      `the engine's home is too long for Unix sockets: ${home}`,
      `choose a path of at most ${room} bytes in KERNELD_ENGINE_HOME`,
    );
  }
  const id = createHash('sha256').update(home).digest('hex').slice(0, 8);
  return {
    home,
    /** Tells this engine's control groups and containerd namespaces from those of any other. */
    id: `kerneld-engine-${id}`,
    socket: join(home, 'docker.sock'),
    host: `unix://${join(home, 'docker.sock')}`,
    pidFile: join(home, 'docker.pid'),
    config: join(home, 'daemon.json'),
    log: join(home, 'dockerd.log'),
    lock: join(home, 'lock'),
    data: join(home, 'data'),
    exec: join(home, 'exec'),
    containerdPidFile: join(home, 'exec/containerd/containerd.pid'),
  };
}

/** The pid of this engine's dockerd, or undefined. A pid file alone proves nothing: the number may be another's by now. */
export const dockerdPid = (paths) => livePid(paths.pidFile, paths.config);

/** The pid of the containerd that dockerd started; it outlives a killed dockerd, which is what adopts it again. */
const containerdPid = (paths) => livePid(paths.containerdPidFile, paths.exec);

function livePid(pidFile, mark) {
  try {
    const pid = Number.parseInt(readFileSync(pidFile, 'utf8'), 10);
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return commandLine.some((argument) => argument.includes(mark)) ? pid : undefined;
  } catch {
    // No file, or no such process: either way there is none.
    return undefined;
  }
}

/**
 * Starts dockerd and waits until it answers. The caller holds the lock.
 *
 * @returns {Promise<'started' | 'running'>}
 */
export async function startDockerd(paths) {
  if (dockerdPid(paths) !== undefined) {
    await waitUntilReady(paths, () => dockerdPid(paths) === undefined);
    return 'running';
  }
  prepare(paths);
  const log = openSync(paths.log, 'a', 0o600);
  const from = statSync(paths.log).size;
  const dockerd = [
    'dockerd',
    `--config-file=${paths.config}`,
    // A containerd of the machine is used by dockerd where one runs; names of our own keep us apart from its other users.
    `--containerd-namespace=${paths.id}`,
    `--containerd-plugins-namespace=${paths.id}-plugins`,
  ];
  // The shell enters the control groups before it becomes dockerd, so no child of it is ever left behind in ours.
  const enter = 'for procs in $GROUPS_TO_ENTER; do echo $$ > "$procs" || :; done; unset GROUPS_TO_ENTER; exec "$@"';
  const child = spawn('/bin/sh', ['-c', enter, 'sh', ...dockerd], {
    detached: true,
    stdio: ['ignore', log, log],
    cwd: '/',
    // Nothing of the caller's surroundings: no proxy, no token, no KERNELD_ variable belongs in a daemon of the machine.
    env: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      LANG: 'C.UTF-8',
      HOME: '/root',
      GROUPS_TO_ENTER: controlGroups(paths.id, true)
        .map((group) => join(group, 'cgroup.procs'))
        .join(' '),
    },
  });
  closeSync(log);
  let ended;
  child.once('error', (error) => (ended = error.message));
  child.once('exit', (status, signal) => (ended = `ended with ${signal ?? `status ${status}`}`));
  try {
    await waitUntilReady(paths, () => ended !== undefined);
  } catch (error) {
    if (ended === undefined) process.kill(child.pid, 'SIGTERM');
    const tail = lastLines(readFileSync(paths.log, 'utf8').slice(from), 15);
    throw new Stop(
      `the private engine did not start (${ended ?? error.message})\n${tail}`,
      `the whole log is ${paths.log}`,
    );
  }
  child.unref();
  return 'started';
}

/** Directories, configuration, and the removal of what a killed engine left lying. */
function prepare(paths) {
  for (const directory of [paths.home, paths.data, paths.exec]) mkdirSync(directory, { recursive: true, mode: 0o711 });
  rmSync(paths.pidFile, { force: true });
  rmSync(paths.socket, { force: true });
  // A containerd.pid whose number was given to another process makes dockerd wait for a containerd that is not there.
  if (containerdPid(paths) === undefined) rmSync(paths.containerdPidFile, { force: true });
  if (existsSync(paths.log) && statSync(paths.log).size > LOG_LIMIT_BYTES) renameSync(paths.log, `${paths.log}.1`);
  const config = {
    hosts: [paths.host],
    'data-root': paths.data,
    'exec-root': paths.exec,
    pidfile: paths.pidFile,
    'live-restore': true,
    bridge: 'none',
    iptables: false,
    'ip-forward': false,
    'ip-masq': false,
    'userland-proxy': false,
  };
  writeFileSync(paths.config, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o644 });
}

async function waitUntilReady(paths, hasEnded) {
  const until = Date.now() + READY_LIMIT_MS;
  while (Date.now() < until) {
    if ((await ping(paths.socket, 2000)).answers) return;
    if (hasEnded()) throw new Stop('it ended before it answered');
    await sleep(50);
  }
  throw new Stop(`it did not answer within ${READY_LIMIT_MS / 1000} s`, `see ${paths.log}`);
}

/**
 * Ends the private engine; with live-restore its containers go on.
 *
 * @returns {Promise<{ stopped: boolean, running: number }>} how many containers still run
 */
export async function stopDockerd(paths) {
  const pid = dockerdPid(paths);
  let running = 0;
  if (pid !== undefined) {
    running = await containersWith(paths.socket, undefined, { all: false }).then(
      (all) => all.length,
      () => 0,
    );
    process.kill(pid, 'SIGTERM');
    await gone(() => dockerdPid(paths), 'dockerd', paths);
  }
  // Left over when dockerd was killed; the shims hold the containers, so they go on without it.
  const containerd = containerdPid(paths);
  if (containerd !== undefined) {
    process.kill(containerd, 'SIGTERM');
    await gone(() => containerdPid(paths), 'containerd', paths);
  }
  // dockerd mounts its data on itself; one that was killed leaves that to us. With a container still running it is busy and stays.
  spawnSync('umount', [paths.data], { stdio: 'ignore' });
  for (const group of controlGroups(paths.id, false)) {
    try {
      rmdirSync(group);
    } catch {
      // Still in use by the shims of running containers, or gone: an empty directory harms nobody.
    }
  }
  return { stopped: pid !== undefined || containerd !== undefined, running };
}

async function gone(pidNow, name, paths) {
  const until = Date.now() + STOP_LIMIT_MS;
  while (pidNow() !== undefined) {
    if (Date.now() > until) {
      throw new Stop(`${name} (pid ${pidNow()}) has not ended within ${STOP_LIMIT_MS / 1000} s`, `see ${paths.log}`);
    }
    await sleep(50);
  }
}

/** This engine's group in every hierarchy that takes one (cgroup v1), or the one group (v2). */
function controlGroups(id, create) {
  const groups = [];
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [before, after] = line.split(' - ');
    const mountPoint = before?.split(' ')[4];
    const [type, , options] = after?.split(' ') ?? [];
    if (mountPoint === undefined || !(type === 'cgroup' || type === 'cgroup2')) continue;
    // A new cpuset group has no cpus until told, and nothing may enter it; the root's set is the right one.
    if (options?.split(',').includes('cpuset')) continue;
    const group = join(mountPoint, id);
    try {
      if (create) mkdirSync(group, { recursive: true });
      if (existsSync(join(group, 'cgroup.procs'))) groups.push(group);
    } catch {
      // A hierarchy that may not be written to (a container without delegation): the session of its own must do.
    }
  }
  return groups;
}
