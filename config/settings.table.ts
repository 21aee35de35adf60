/**
 * Every setting of kernel.yaml: its kind, default, bounds, meaning, and what a change of it takes.
 * This table is the one source of the zod schema, the editor schema, `config show` and the plan of a
 * reload. Adding a setting is adding it here, to `EffectiveConfig` and to `resolve-config.ts`.
 */
import { section } from './section.table.ts';
import type { Section, SettingNode } from './section.table.ts';
import { choice, cpuShare, duration, memoryShare, textOr } from './setting-kinds.table.ts';
import type { ChangeEffect, Leaf } from './setting-kinds.table.ts';
import { instancesSection, restartSection } from './instance-settings.table.ts';
import { busSection, logsSection, wireSection } from './traffic-settings.table.ts';
import { zoneSection } from './zone-settings.table.ts';

const MIB = 1024 * 1024;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** The only version of the written form so far. */
export const API_VERSION = 'kerneld/v1';
export const API_VERSION_DESCRIBE = 'Version of this file format.';

export const SETTINGS = section('Configuration of kerneld.', {
  pool: section('What the zones take their shares of.', {
    memory: memoryShare({
      default: 'auto',
      effect: 'live',
      of: 'the machine',
      auto: true,
      min: 64 * MIB,
      describe: 'Memory of the pool. auto: the machine less 512MiB, or less a quarter of it where that is smaller.',
    }),
    cpus: cpuShare({
      default: 'auto',
      effect: 'live',
      of: 'the machine',
      auto: true,
      describe:
        'Cores of the pool, which zones take their shares of; the sum over all instances is not bounded yet. auto: nine tenths of the machine.',
    }),
  }),
  zones: section('The isolation profiles and their shares of the pool.', {
    stable: zoneSection('stable', { share: '60%', pids: 128 }),
    sandbox: zoneSection('sandbox', { share: '40%', pids: 64 }),
  }),
  instances: instancesSection,
  restart: restartSection,
  wire: wireSection,
  bus: busSection,
  logs: logsSection,
  control: section('Who may use the operator socket.', {
    group: textOr({
      default: 'none',
      word: 'none',
      effect: 'restart',
      maxLength: 32,
      pattern: '[a-z_][a-z0-9_-]{0,31}',
      expected: 'the name of a group of this system',
      describe: 'A group whose members may use the operator socket (mode 0660). none: the owner only (0600).',
    }),
  }),
  lifecycle: section('How the kernel starts and ends.', {
    onTerminate: choice({
      default: 'stop',
      values: ['stop', 'leave'],
      effect: 'live',
      describe: 'At SIGTERM. stop: drain and stop the zones. leave: let the instances run, for an upgrade.',
    }),
    componentTimeout: duration({
      default: '1m',
      min: SECOND,
      max: HOUR,
      effect: 'restart',
      describe: 'For the start and the end of each component.',
    }),
    drainTimeout: duration({
      default: '20s',
      min: 0,
      max: HOUR,
      effect: 'live',
      describe: 'For all calls in flight when the kernel stops.',
    }),
  }),
  engine: section('The container engine.', {
    host: textOr({
      default: 'auto',
      word: 'auto',
      effect: 'restart',
      maxLength: 114,
      pattern: 'unix:///[^\\u0000-\\u0020]{1,106}',
      expected: 'a Unix socket of at most 107 bytes, as unix:///var/run/docker.sock',
      describe: 'Socket of the engine. auto: DOCKER_HOST, else /var/run/docker.sock, else the private engine.',
    }),
    pingInterval: duration({
      default: '5s',
      min: 100,
      max: 30 * SECOND,
      effect: 'restart',
      describe: 'Time between two checks that the engine answers.',
    }),
    timeout: duration({
      default: '30s',
      min: 100,
      max: HOUR,
      effect: 'restart',
      describe: 'For one request to the engine.',
    }),
  }),
});

/** What a change of `modules.<name>.config` takes. */
export const MODULE_CONFIG_EFFECT: ChangeEffect = 'instances';
export const MODULES_DESCRIBE =
  'Configuration values by name of module, checked against the schema in its module.yaml.';
export const MODULE_CONFIG_DESCRIBE = 'Given to the module as ctx.config.';

/** The value that reading a node gives. */
export type ValuesOf<T> =
  T extends Leaf<infer V> ? V : T extends Section<infer C> ? { readonly [K in keyof C]: ValuesOf<C[K]> } : never;
/** All settings as read: units resolved, shares not yet. */
export type SettingValues = ValuesOf<typeof SETTINGS>;

/** One setting with its place in kernel.yaml and in `EffectiveConfig`. */
export type Setting = {
  readonly key: string;
  readonly path: readonly string[];
  readonly effectivePath: readonly string[];
  readonly leaf: Leaf<unknown>;
};

const collect = (node: SettingNode, path: readonly string[]): readonly Setting[] => {
  if (node.node === 'section') {
    return Object.entries(node.children).flatMap(([key, child]) => collect(child, [...path, key]));
  }
  const effectivePath = [...path.slice(0, -1), `${path.at(-1) ?? ''}${node.suffix}`];
  return [{ key: path.join('.'), path, effectivePath, leaf: node }];
};

/** Every setting, in the order of the file. */
export const ALL_SETTINGS: readonly Setting[] = collect(SETTINGS, []);

/** The node at a path, or undefined where the table has none. */
export const settingAt = (path: readonly string[]): SettingNode | undefined => {
  let node: SettingNode | undefined = SETTINGS;
  for (const key of path) {
    node = node?.node === 'section' && Object.hasOwn(node.children, key) ? node.children[key] : undefined;
  }
  return node;
};
