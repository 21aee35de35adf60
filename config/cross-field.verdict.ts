/** Rules between settings: values that are fine alone and impossible together. Pure. */
import type { EffectiveConfig } from '../Kernel/contract/effective-config.ts';
import { ZONE_NAMES } from '../Kernel/contract/ids.ts';
import { formatDuration, formatSize } from '../Kernel/contract/units.ts';
import type { MachineFacts } from './resolve-config.ts';

/** A rule that does not hold. */
export type CrossFieldIssue = {
  /** Every setting that takes part; the first is the one to change. */
  readonly keys: readonly [string, ...string[]];
  readonly message: string;
  readonly expected: string;
};

/** Memory that Node and the agent need beside `/tmp` and `/module` (DESIGN section 5). */
const RUNTIME_BYTES = 48 * 1024 * 1024;
/** Instances come in these sizes, so that one on standby fits any module of its size (DESIGN section 5). */
const SIZE_CLASSES_BYTES: readonly number[] = [64, 128, 256, 512, 1024].map((mebibytes) => mebibytes * 1024 * 1024);
/** Room for what wraps a message of the user bus in a frame. */
const ENVELOPE_BYTES = 4096;
/** The account `nobody`, which foreign files may belong to. */
const NOBODY_UID = 65_534;
const cpusText = (cpus: number): string => `${cpus} cores`;
const sum = (amounts: readonly number[]): number => amounts.reduce((total, amount) => total + amount, 0);
/** Sums of hundredths are not exact in binary. */
const exceeds = (a: number, b: number): boolean => a > b + 1e-6;

type Amount = {
  readonly key: 'memory' | 'cpus';
  readonly of: (holder: { readonly memoryBytes: number; readonly cpus: number }) => number;
  readonly format: (amount: number) => string;
};
const AMOUNTS: readonly Amount[] = [
  { key: 'memory', of: (holder) => holder.memoryBytes, format: formatSize },
  { key: 'cpus', of: (holder) => holder.cpus, format: cpusText },
];

const shareRules = (config: EffectiveConfig, machine: MachineFacts): readonly CrossFieldIssue[] =>
  AMOUNTS.flatMap(({ key, of, format }) => {
    const issues: CrossFieldIssue[] = [];
    const pool = of(config.pool);
    const poolKey = `pool.${key}`;
    if (exceeds(pool, of(machine))) {
      issues.push({
        keys: [poolKey],
        message: `${format(pool)} is more than the machine has`,
        expected: `auto, or at most ${format(of(machine))}`,
      });
    }
    const enabled = ZONE_NAMES.filter((name) => config.zones[name].enabled);
    const tooLarge = enabled.filter((name) => exceeds(of(config.zones[name]), pool));
    for (const name of tooLarge) {
      issues.push({
        keys: [`zones.${name}.${key}`, poolKey],
        message: `${format(of(config.zones[name]))} is more than the pool`,
        expected: `at most ${format(pool)}`,
      });
    }
    const total = sum(enabled.map((name) => of(config.zones[name])));
    const last = enabled.at(-1);
    if (tooLarge.length === 0 && last !== undefined && exceeds(total, pool)) {
      issues.push({
        keys: [`zones.${last}.${key}`, ...enabled.slice(0, -1).map((name) => `zones.${name}.${key}`), poolKey],
        message: `the zones together have ${format(total)}, more than the pool`,
        expected: `at most ${format(pool)} together`,
      });
    }
    for (const name of enabled) {
      const zone = config.zones[name];
      if (!exceeds(of(zone.instance), of(zone))) continue;
      issues.push({
        keys: [`zones.${name}.instance.${key}`, `zones.${name}.${key}`, poolKey],
        message: `${format(of(zone.instance))} for one instance is more than its zone`,
        expected: `at most ${format(of(zone))}`,
      });
    }
    return issues;
  });

const temporaryRules = (config: EffectiveConfig): readonly CrossFieldIssue[] =>
  ZONE_NAMES.flatMap((name) => {
    const { memoryBytes, tmpBytes, moduleTmpBytes } = config.zones[name].instance;
    const room = memoryBytes - RUNTIME_BYTES;
    if (tmpBytes + moduleTmpBytes <= room) return [];
    const prefix = `zones.${name}.instance`;
    return [
      {
        keys: [`${prefix}.tmp`, `${prefix}.moduleTmp`, `${prefix}.memory`] as const,
        message: `tmp and moduleTmp together are ${formatSize(tmpBytes + moduleTmpBytes)}, more than memory less ${formatSize(RUNTIME_BYTES)}`,
        expected: `at most ${formatSize(room)} together`,
      },
    ];
  });

const uidRules = (config: EffectiveConfig): readonly CrossFieldIssue[] => {
  const { first, last } = config.instances.uidRange;
  const [firstKey, lastKey] = ['instances.uidRange.first', 'instances.uidRange.last'] as const;
  if (first > last) {
    return [
      { keys: [lastKey, firstKey], message: `${last} is before the first, ${first}`, expected: `at least ${first}` },
    ];
  }
  if (first <= NOBODY_UID && last >= NOBODY_UID) {
    return [
      {
        keys: [firstKey, lastKey],
        message: `the range holds ${NOBODY_UID}, the account nobody`,
        expected: 'a range that no account uses, as 210000 to 210999',
      },
    ];
  }
  const needed = sum(ZONE_NAMES.map((name) => (config.zones[name].enabled ? config.zones[name].maxInstances : 0)));
  if (last - first + 1 >= needed) return [];
  return [
    {
      keys: [lastKey, firstKey, ...ZONE_NAMES.map((name) => `zones.${name}.maxInstances`)],
      message: `the range holds ${last - first + 1} ids for ${needed} instances`,
      expected: `at least ${first + needed - 1}`,
    },
  ];
};

/** `small` has to be at most (`strict`: less than) `large`. */
const orderRules = (config: EffectiveConfig): readonly CrossFieldIssue[] => {
  const { instances, restart, wire, bus, lifecycle } = config;
  const rules = [
    {
      small: 'instances.heartbeat.interval',
      large: 'instances.heartbeat.limit',
      a: instances.heartbeat.intervalMs,
      b: instances.heartbeat.limitMs,
      strict: true,
      format: formatDuration,
    },
    {
      small: 'restart.backoff.initial',
      large: 'restart.backoff.max',
      a: restart.backoff.initialMs,
      b: restart.backoff.maxMs,
      strict: false,
      format: formatDuration,
    },
    {
      small: 'instances.drainTimeout',
      large: 'lifecycle.drainTimeout',
      a: instances.drainTimeoutMs,
      b: lifecycle.drainTimeoutMs,
      strict: false,
      format: formatDuration,
    },
    // A frame over what a second allows would never get through.
    {
      small: 'wire.agent.maxFrame',
      large: 'wire.agent.bytesPerSecond',
      a: wire.agent.maxFrameBytes,
      b: wire.agent.bytesPerSecond,
      strict: false,
      format: formatSize,
    },
    {
      small: 'bus.maxPayload',
      large: 'wire.agent.maxFrame',
      a: bus.maxPayloadBytes,
      b: wire.agent.maxFrameBytes - ENVELOPE_BYTES,
      strict: false,
      format: formatSize,
    },
  ];
  return rules
    .filter(({ a, b, strict }) => (strict ? a >= b : a > b))
    .map(({ small, large, a, b, strict, format }) => ({
      keys: [small, large] as const,
      message: `${format(a)} is ${strict && a === b ? 'not less than' : 'more than'} ${large} allows`,
      expected: `${strict ? 'less than' : 'at most'} ${format(b)}`,
    }));
};

/**
 * The least time from the first of the deaths that quarantine needs to the last, when every instance dies at once:
 * the delays between them alone, with all of their jitter taken off. No delay follows the first death.
 */
const shortestRunMs = ({ backoff, intensity }: EffectiveConfig['restart']): number => {
  let totalMs = 0;
  let delayMs = backoff.initialMs;
  for (let failures = 2; failures <= intensity.restarts; failures += 1) {
    totalMs += Math.min(backoff.maxMs, delayMs) * (1 - backoff.jitter);
    delayMs = Math.min(backoff.maxMs, delayMs * backoff.factor);
  }
  return totalMs;
};

/** Deaths that the back-off spreads over more than the window never add up: a broken module would restart for ever. */
const quarantineRules = ({ restart }: EffectiveConfig): readonly CrossFieldIssue[] => {
  const { restarts, windowMs } = restart.intensity;
  const neededMs = shortestRunMs(restart);
  if (neededMs < windowMs) return [];
  return [
    {
      keys: [
        'restart.intensity.window',
        'restart.intensity.restarts',
        'restart.backoff.max',
        'restart.backoff.initial',
        'restart.backoff.factor',
        'restart.backoff.jitter',
      ],
      message: `a module that fails at once is never quarantined: the back-off of ${restarts} restarts takes ${formatDuration(Math.ceil(neededMs))}, the window is ${formatDuration(windowMs)}`,
      expected: `more than ${formatDuration(Math.ceil(neededMs))}, fewer restarts or a shorter back-off`,
    },
  ];
};

const sizeClassRules = (config: EffectiveConfig): readonly CrossFieldIssue[] =>
  ZONE_NAMES.filter((zone) => !SIZE_CLASSES_BYTES.includes(config.zones[zone].instance.memoryBytes)).map((zone) => ({
    keys: [`zones.${zone}.instance.memory`] as const,
    message: `${formatSize(config.zones[zone].instance.memoryBytes)} is no size class of instances`,
    expected: SIZE_CLASSES_BYTES.map(formatSize).join(', '),
  }));

/** Every rule between settings that the configuration breaks. */
export const checkAcrossFields = (config: EffectiveConfig, machine: MachineFacts): readonly CrossFieldIssue[] => [
  ...sizeClassRules(config),
  ...shareRules(config, machine),
  ...temporaryRules(config),
  ...uidRules(config),
  ...orderRules(config),
  ...quarantineRules(config),
];
