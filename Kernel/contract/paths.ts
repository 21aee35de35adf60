/**
 * Where a home keeps its files and sockets (DESIGN section 14). Pure: nothing here looks at a disk.
 *
 * ```
 *                  no KERNELD_HOME             KERNELD_HOME=H
 * state            /var/lib/kerneld            H/state       survives reboots
 * run              /run/kerneld                H/run         sockets of people and companions
 * configuration    /etc/kerneld/kernel.yaml    H/kernel.yaml
 * ```
 * Sockets and directories of instances live under `state`, not under `run`: instances outlive the kernel, and
 * their bind mounts must keep pointing at the same inodes. The record of an instance lies outside of what is
 * bound into its container, so that no instance can read it.
 */
import { KernelError } from './errors.ts';
import type { InstanceId } from './ids.ts';

/** `sun_path` holds 108 bytes and the closing NUL is one of them (unix(7)). */
export const SOCKET_PATH_MAX_BYTES = 107;

/** The variables that move a home. */
export type HomeEnvironment = { readonly [name: string]: string | undefined };

export type HomePaths = {
  /** Directory named by `KERNELD_HOME`; null: the system-wide home. */
  readonly home: string | null;
  readonly state: string;
  readonly run: string;
  readonly operatorSocket: string;
  readonly federationSocket: string;
  /** Parent of the directories bound into containers, one an instance. */
  readonly instancesDir: string;
  /** Parent of the records of instances, one file an instance. */
  readonly recordsDir: string;
  readonly modulesDir: string;
  readonly storeDir: string;
  readonly logsDir: string;
  /** Held by the one kernel of this home. */
  readonly lockFile: string;
  /** Holds the id under which this home's containers are labelled. */
  readonly homeIdFile: string;
  /** Named by `KERNELD_CONFIG`, must exist; null: none named. */
  readonly namedConfigFile: string | null;
  /** Used when it exists and none is named. */
  readonly homeConfigFile: string;
};

const value = (env: HomeEnvironment, name: string): string | null => env[name] || null;

const absolute = (path: string, name: string): string => {
  if (!path.startsWith('/')) {
    throw new KernelError('STATE_UNUSABLE', `${name} is ${JSON.stringify(path)}, which is not an absolute path`, {
      remedy: `Set ${name} to a path that begins with "/".`,
    });
  }
  return path.replace(/\/{2,}/g, '/').replace(/(?<=.)\/$/, '');
};

/**
 * The paths of the home that these variables choose.
 *
 * @throws KernelError `STATE_UNUSABLE` when `KERNELD_HOME` or `KERNELD_CONFIG` is not absolute
 */
export const homePaths = (env: HomeEnvironment): HomePaths => {
  const homeValue = value(env, 'KERNELD_HOME');
  const configValue = value(env, 'KERNELD_CONFIG');
  const home = homeValue === null ? null : absolute(homeValue, 'KERNELD_HOME');
  const base = home === '/' ? '' : home;
  const state = base === null ? '/var/lib/kerneld' : `${base}/state`;
  const run = base === null ? '/run/kerneld' : `${base}/run`;
  return {
    home,
    state,
    run,
    operatorSocket: `${run}/operator.sock`,
    federationSocket: `${run}/federation.sock`,
    instancesDir: `${state}/instances`,
    recordsDir: `${state}/records`,
    modulesDir: `${state}/modules`,
    storeDir: `${state}/store`,
    logsDir: `${state}/logs`,
    lockFile: `${state}/kernel.lock`,
    homeIdFile: `${state}/home-id`,
    namedConfigFile: configValue === null ? null : absolute(configValue, 'KERNELD_CONFIG'),
    homeConfigFile: base === null ? '/etc/kerneld/kernel.yaml' : `${base}/kernel.yaml`,
  };
};

/** The paths of one instance. `directory` is what is bound into its container. */
export const instancePaths = (paths: HomePaths, instance: InstanceId) => ({
  directory: `${paths.instancesDir}/${instance}`,
  agentSocket: `${paths.instancesDir}/${instance}/agent.sock`,
  record: `${paths.recordsDir}/${instance}.json`,
});

/**
 * Which configuration file holds: the named one, whether it exists or not; else the home's, if it exists; else
 * the shipped one.
 */
export const chooseConfigFile = (paths: HomePaths, exists: (file: string) => boolean, shipped: string): string =>
  paths.namedConfigFile ?? (exists(paths.homeConfigFile) ? paths.homeConfigFile : shipped);

/**
 * Refuses a socket path that the system would cut short or refuse with a message that helps nobody.
 *
 * @throws KernelError `SOCKET_PATH_TOO_LONG`
 */
export const checkSocketPath = (path: string): string => {
  const bytes = new TextEncoder().encode(path).byteLength;
  if (bytes <= SOCKET_PATH_MAX_BYTES) return path;
  throw new KernelError(
    'SOCKET_PATH_TOO_LONG',
    `the socket path ${path} has ${bytes} bytes, the limit is ${SOCKET_PATH_MAX_BYTES}`,
    {
      context: { path, bytes, limitBytes: SOCKET_PATH_MAX_BYTES },
      remedy: 'Set KERNELD_HOME to a shorter path.',
    },
  );
};
