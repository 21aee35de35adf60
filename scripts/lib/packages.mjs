/** The npm packages of the clone, the pinned Node among them. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runQuietly, Stop } from './terminal.mjs';

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const PINNED_NODE = join(ROOT, 'node_modules', `node-linux-${process.arch}`, 'bin/node');

/** npm writes the second of these when an install is complete, so its time tells whether the lockfile changed since. */
const LOCKFILE = join(ROOT, 'package-lock.json');
const INSTALLED = join(ROOT, 'node_modules/.package-lock.json');

export function packagesAreCurrent() {
  if (!existsSync(INSTALLED) || !existsSync(PINNED_NODE)) return false;
  return statSync(INSTALLED).mtimeMs >= statSync(LOCKFILE).mtimeMs || sameVersions();
}

/** A checkout touches the lockfile without changing it; reinstalling for that would cost half a minute. */
function sameVersions() {
  const wanted = JSON.parse(readFileSync(LOCKFILE, 'utf8')).packages;
  const present = JSON.parse(readFileSync(INSTALLED, 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) =>
      path === '' || (optional && !present[path]) || present[path]?.version === version,
  );
}

export function packageCount() {
  return (
    Object.values(JSON.parse(readFileSync(LOCKFILE, 'utf8')).packages).filter(({ optional }) => !optional).length - 1
  );
}

export function installPackages() {
  runQuietly('npm', ['ci'], {
    cwd: ROOT,
    remedy: 'npm needs the network once; install npm with `apt-get install npm` when it is missing',
  });
}

/** Proves that the pinned Node runs here, and returns its version. */
export function checkPinnedNode() {
  const { stdout, stderr, status } = spawnSync(PINNED_NODE, ['--version'], { encoding: 'utf8' });
  if (status === 0) return stdout.trim();
  throw new Stop(
    `the pinned Node does not start: ${(stderr ?? '').trim()}`,
    'install what it names; on Debian and Ubuntu: `apt-get install libatomic1`',
  );
}

/** The environment in which a program finds the pinned Node and the tools of node_modules first. */
export function toolEnvironment(extra = {}) {
  return { ...process.env, PATH: [join(ROOT, 'node_modules/.bin'), process.env.PATH].join(delimiter), ...extra };
}
