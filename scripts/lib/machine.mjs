/** What the machine has and lacks. Nothing here changes it but `aptInstall`. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { runQuietly, say, Stop } from './terminal.mjs';

const SEARCHED = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

export const isRoot = () => process.getuid() === 0;
export const hasProgram = (name) => SEARCHED.some((directory) => existsSync(`${directory}/${name}`));

/** kerneld needs Linux namespaces, control groups and seccomp, and a pinned Node that exists for two processors. */
export function requirePlatform() {
  if (process.platform !== 'linux') {
    throw new Stop(
      `kerneld runs on Linux only, and this is ${process.platform}`,
      'use a Linux machine or a virtual one',
    );
  }
  if (process.arch !== 'x64' && process.arch !== 'arm64') {
    throw new Stop(`kerneld runs on x64 and arm64 only, and this is ${process.arch}`, 'use such a machine');
  }
  if (Number.parseInt(process.versions.node, 10) < 18) {
    throw new Stop(
      `Node ${process.versions.node} is too old to set this up`,
      'install Node 18 or later (`apt-get install nodejs npm`)',
    );
  }
}

/** Debian, Ubuntu and what calls itself like one of them. */
export function isDebianLike() {
  try {
    const lines = readFileSync('/etc/os-release', 'utf8').split('\n');
    const words = lines
      .filter((line) => /^ID(_LIKE)?=/.test(line))
      .flatMap((line) => line.replace(/^.*?=|"/g, '').split(' '));
    return hasProgram('apt-get') && words.some((word) => word === 'debian' || word === 'ubuntu');
  } catch {
    // No such file: some other system.
    return false;
  }
}

/** The pinned Node is linked against libatomic, which a minimal Debian has not. */
export function lacksLibatomic() {
  const known = spawnSync('ldconfig', ['-p'], { encoding: 'utf8', env: { PATH: SEARCHED.join(':') } }).stdout ?? '';
  return !known.includes('libatomic.so.1 ');
}

const APT = { DEBIAN_FRONTEND: 'noninteractive', PATH: SEARCHED.join(':'), LC_ALL: 'C', HOME: '/root' };

/** Everything that apt would install with these packages, for the list that the user agrees to. */
export function aptPlan(packages) {
  refreshAptLists();
  const plan = runQuietly('apt-get', ['install', '--simulate', '--no-install-recommends', ...packages], {
    env: APT,
    remedy: 'check the package sources of this machine (`apt-get update`), then try again',
  });
  return [...plan.matchAll(/^Inst (\S+) (?:\[\S+\] )?\((\S+)/gm)].map(
    ([, name, version]) => `${name} ${version} (apt)`,
  );
}

/** A fresh image has no package lists at all; fetching them installs nothing. */
function refreshAptLists() {
  const lists = existsSync('/var/lib/apt/lists') ? readdirSync('/var/lib/apt/lists') : [];
  if (lists.some((name) => name.endsWith('_Packages') || name.includes('_Packages.'))) return;
  say('Fetching package lists (apt-get update)');
  aptUpdate();
}

const aptUpdate = () =>
  runQuietly('apt-get', ['update'], { env: APT, remedy: 'check the network and the package sources of this machine' });

/** Installs packages; once more with fresh lists, since old ones name files that the mirror no longer has. */
export function aptInstall(packages) {
  const args = ['install', '--yes', '--no-install-recommends', ...packages];
  try {
    runQuietly('apt-get', args, { env: APT });
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    aptUpdate();
    runQuietly('apt-get', args, {
      env: APT,
      remedy: `run \`apt-get install ${packages.join(' ')}\` and mend what it reports`,
    });
  }
}
