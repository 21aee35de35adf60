/**
 * The configuration in force. A reload takes over what applies live and what the next instances are made of;
 * what needs a restart keeps its old value until then, so that `config()` never names a value that does not hold.
 */
import { planConfigChange, type ConfigChange } from '../../config/config-change.plan.ts';
import type { ConfigSource, ConfigSources } from '../../config/parse-config.ts';
import { describeConfig } from '../../config/show.ts';
import type { EffectiveConfig } from '../../Kernel/contract/effective-config.ts';
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import type { OperationResult } from '../../Kernel/contract/operations/index.ts';
import { readKernelConfig, type LoadedConfig } from '../config/read-config.ts';

export type ConfigState = {
  /** Where the values in force were read, or, before that, would be. */
  readonly file: () => string;
  readonly config: () => EffectiveConfig;
  readonly load: (signal: AbortSignal) => Promise<void>;
  readonly check: (signal: AbortSignal) => Promise<OperationResult<'config.check'>>;
  readonly show: () => OperationResult<'config.show'>;
  /**
   * Keeps everything as it is when the file is not valid. One at a time: of two that overlap, the later one
   * reads the file after the earlier one holds.
   *
   * @throws KernelError `CONFIG_INVALID`, `CONFIG_UNREADABLE`, `CONFIG_VALUES_INVALID`
   */
  readonly reload: (signal: AbortSignal) => Promise<OperationResult<'config.reload'>>;
};

type Change = OperationResult<'config.reload'>['changes'][number];

const described = (change: ConfigChange, applied: boolean): Change => ({ ...change, applied });

const sectionOf = (key: string): string => key.split('.', 1)[0]!;

/**
 * Sections that a reload leaves as they are, for a key in them that only a restart can change. Whole top-level
 * sections at a time: values within one depend on each other.
 */
const keptSections = (changes: readonly ConfigChange[]): ReadonlySet<string> =>
  new Set(changes.filter(({ effect }) => effect === 'restart').map(({ key }) => sectionOf(key)));

const mergeValues = (current: EffectiveConfig, next: EffectiveConfig, kept: ReadonlySet<string>): EffectiveConfig => {
  const merged = structuredClone(next) as Record<string, unknown>;
  for (const section of kept) merged[section] = current[section as keyof EffectiveConfig];
  return merged as EffectiveConfig;
};

/** A value that is kept also keeps where it came from, and the new file's lines are not its own. */
const mergeSources = (current: LoadedConfig, next: LoadedConfig, kept: ReadonlySet<string>): ConfigSources => {
  const merged = new Map<string, ConfigSource>();
  for (const [key, source] of next.sources) if (!kept.has(sectionOf(key))) merged.set(key, source);
  for (const [key, source] of current.sources) {
    if (!kept.has(sectionOf(key))) continue;
    merged.set(key, { ...source, kept: { file: source.kept?.file ?? current.file } });
  }
  return merged;
};

export type ConfigPorts = {
  /** Throws when what is to hold next cannot: everything then stays as it is. */
  readonly verify: (next: EffectiveConfig) => void;
  /** It holds now: whoever keeps a value of it is told. */
  readonly onApplied: (config: EffectiveConfig) => Promise<void>;
};

/** `findFile` is asked at each reading. */
export const createConfigState = (findFile: () => string, ports: ConfigPorts): ConfigState => {
  let inForce: LoadedConfig | null = null;
  let last: Promise<unknown> = Promise.resolve();
  const loaded = (): LoadedConfig => {
    if (inForce === null)
      throw new KernelError('UNAVAILABLE', 'the configuration has not been read yet', { retryAfterMs: 100 });
    return inForce;
  };
  /** A section kept for one restart-only key keeps its live keys too: say so instead of claiming them applied. */
  const outcome = (changes: readonly ConfigChange[]): Change[] => {
    const kept = keptSections(changes);
    return changes.map((change) => {
      if (kept.has(sectionOf(change.key))) return described({ ...change, effect: 'restart' }, false);
      return described(change, change.effect === 'live');
    });
  };

  const reload: ConfigState['reload'] = async (signal) => {
    signal.throwIfAborted();
    const current = loaded();
    const next = await readKernelConfig({ file: findFile(), signal });
    const changes = planConfigChange(current.config, next.config);
    const kept = keptSections(changes);
    const config = mergeValues(current.config, next.config, kept);
    ports.verify(config);
    inForce = { file: next.file, config, sources: mergeSources(current, next, kept) };
    await ports.onApplied(config);
    return { file: next.file, changes: outcome(changes) };
  };

  return {
    file: () => inForce?.file ?? findFile(),
    config: () => loaded().config,
    load: async (signal) => {
      inForce = await readKernelConfig({ file: findFile(), signal });
    },
    check: async (signal) => {
      const file = findFile();
      try {
        const next = await readKernelConfig({ file, signal });
        const changes =
          inForce === null
            ? []
            : outcome(planConfigChange(inForce.config, next.config)).map((change) => described(change, false));
        return { ok: true, file, issues: [], changes };
      } catch (thrown) {
        const error = toKernelError(thrown);
        if (error.code !== 'CONFIG_INVALID') throw error;
        const issues = error.context['issues'] as OperationResult<'config.check'>['issues'];
        return { ok: false, file, issues, changes: [] };
      }
    },
    show: () => {
      const { file } = loaded();
      return { file, values: [...describeConfig(loaded())] };
    },
    reload: (signal) => {
      const turn = last.then(() => reload(signal));
      last = turn.catch(() => undefined);
      return turn;
    },
  };
};
