/**
 * What both launchers do: change over to the pinned Node, then load the program.
 *
 * Plain JavaScript for Node 18 and later, built-ins only: this must run, and say what is wrong,
 * on the Node of the machine and with all of `node_modules` gone.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { constants, homedir } from 'node:os';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** What a supervisor or a terminal sends to a daemon. SIGKILL and SIGSTOP can't be passed on. */
const PASSED_ON = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'];

/**
 * Runs `main(argv)` of a program on the pinned Node and ends the process with its status.
 *
 * @param {{ name: string, program: string }} what the command's name, and its module below `daemon/` without extension
 */
export async function launch({ name, program }) {
  const pinned = pinnedNode();
  if (process.version === `v${pinned.version}`) {
    process.exit(await run(name, program));
  }
  if (pinned.path === undefined) {
    complain(name, `Node ${pinned.version} is not installed in ${ROOT}`, `run \`npm ci\` in ${ROOT}`);
    process.exit(1);
  }
  changeOver(name, pinned.path);
}

/** The Node that package.json pins, and where it is. `path` is absent when it is not installed. */
function pinnedNode() {
  const carrier = `node-linux-${process.arch}`;
  const version = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).optionalDependencies[carrier];
  const own = join(ROOT, 'node_modules', carrier, 'bin/node');
  if (existsSync(own)) return { version, path: own };
  // Installed as a package of another project, the carrier may lie further up.
  try {
    const require = nodeModule.createRequire(import.meta.url);
    const path = join(dirname(require.resolve(`${carrier}/package.json`)), 'bin/node');
    return existsSync(path) ? { version, path } : { version };
  } catch {
    // Not found anywhere: the caller says so, with the remedy.
    return { version };
  }
}

/** Continues this process, or a child that stands for it, on the pinned Node. Never returns to the caller's work. */
function changeOver(name, nodePath) {
  const args = [...process.execArgv, ...process.argv.slice(1)];
  if (typeof process.execve === 'function') {
    try {
      // The same pid goes on, so a supervisor's signals and wait() need nobody in between.
      process.execve(nodePath, [nodePath, ...args], process.env);
    } catch {
      // Refused (a worker thread, a permission model): a child does it as well.
    }
  }
  const child = spawn(nodePath, args, { stdio: 'inherit' });
  // Handlers keep this process alive until the child has answered the signal in its own time.
  for (const signal of PASSED_ON) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    complain(name, `${nodePath} does not start: ${error.message}`, `run \`npm ci\` in ${ROOT}`);
    process.exit(1);
  });
  child.on('exit', (status, signal) => {
    if (status !== null) process.exit(status === 127 ? explainLoader(name) : status);
    // Die of the same signal, so that the parent sees what it would have seen without us.
    for (const passed of PASSED_ON) process.removeAllListeners(passed);
    process.kill(process.pid, signal);
    // Signals whose default action is no end (there should be none) still end us.
    setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 0)), 1000);
  });
}

/** 127 comes from the dynamic loader: the pinned Node needs a shared library that the machine lacks. */
function explainLoader(name) {
  complain(name, 'the pinned Node lacks a shared library', 'run `apt-get install libatomic1`, then try again');
  return 1;
}

async function run(name, program) {
  enableCompileCache();
  let main;
  try {
    ({ main } = await import(programUrl(program)));
  } catch (error) {
    // The place for `fallback/`: when the program can't be imported, it answers instead.
    complain(
      name,
      `the program does not load: ${firstLine(error)}${place(error)}`,
      `run \`npm ci\` in ${ROOT}, then try again`,
    );
    return 1;
  }
  try {
    return await main(process.argv.slice(2));
  } catch (error) {
    complain(name, firstLine(error), 'the log of the kernel tells more');
    return 1;
  }
}

/** Sources in a clone; what `npm run build` made where Node refuses to strip types, which is below node_modules. */
function programUrl(program) {
  const source = join(ROOT, 'daemon', `${program}.ts`);
  const installed = ROOT.includes(`${sep}node_modules${sep}`) || !existsSync(source);
  const built = join(ROOT, 'dist/daemon', `${program}.js`);
  return pathToFileURL(installed && existsSync(built) ? built : source).href;
}

/**
 * Keeps compiled code between runs, which halves the start of `kernelctl`.
 *
 * Never in Node's default place: that is below the shared /tmp, where another user could put code
 * for root to run. Only a directory that is this user's alone will do.
 */
function enableCompileCache() {
  if (typeof nodeModule.enableCompileCache !== 'function' || process.env.NODE_DISABLE_COMPILE_CACHE) return;
  const base = process.getuid() === 0 ? '/var/cache' : process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const directory = join(base, 'kerneld/compiled');
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const { uid, mode } = statSync(directory);
    if (uid === process.getuid() && (mode & 0o022) === 0) nodeModule.enableCompileCache(directory);
  } catch {
    // A read-only or missing home: the cache only saves time, so we go on without it.
  }
}

function firstLine(error) {
  return String(error instanceof Error ? error.message : error).split('\n', 1)[0];
}

/** Of the stack only the place is shown: a broken checkout is mended where it is broken. */
function place(error) {
  const found = /file:\/\/[^\s)]+:\d+/.exec(error instanceof Error ? (error.stack ?? '') : '');
  return found === null ? '' : ` (${found[0]})`;
}

function complain(name, what, remedy) {
  process.stderr.write(`${name}: ${what}\n  → ${remedy}\n`);
}
