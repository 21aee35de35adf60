/**
 * The configuration in force. A reload takes over what applies live and what the next instances are made of;
 * what needs a restart keeps its old value until then, so that `config()` never names a value that does not hold.
 */
import { planConfigChange, type ConfigChange } from '../../config/config-change.plan.ts';
import { describeConfig } from '../../config/show.ts';
import type { EffectiveConfig } from '../../Kernel/contract/effective-config.ts';
import { KernelError, toKernelError } from '../../Kernel/contract/errors.ts';
import type { OperationResult } from '../../Kernel/contract/operations/index.ts';
import { readKernelConfig, type LoadedConfig } from '../config/read-config.ts';

export type ConfigState = {
  readonly file: string;
  readonly config: () => EffectiveConfig;
  readonly load: (signal: AbortSignal) => Promise<void>;
  readonly check: (signal: AbortSignal) => Promise<OperationResult<'config.check'>>;
  readonly show: () => OperationResult<'config.show'>;
  /**
   * Keeps everything as it is when the file is not valid.
   *
   * @throws KernelError `CONFIG_INVALID`, `CONFIG_UNREADABLE`, `CONFIG_VALUES_INVALID`
   */
  readonly reload: (signal: AbortSignal) => Promise<OperationResult<'config.reload'>>;
};

type Change = OperationResult<'config.reload'>['changes'][number];

const described = (change: ConfigChange, applied: boolean): Change => ({ ...change, applied });

/** Takes every section from `next` but those that only a restart can change. */
const merge = (current: EffectiveConfig, next: EffectiveConfig, changes: readonly ConfigChange[]): EffectiveConfig => {
  const merged = structuredClone(next) as Record<string, unknown>;
  for (const { key, effect } of changes) {
    // Whole top-level sections at a time: values within one depend on each other.
    const section = key.split('.')[0] as keyof EffectiveConfig;
    if (effect === 'restart') merged[section] = current[section];
  }
  return merged as EffectiveConfig;
};

export type ConfigPorts = {
  /** Throws when what is to hold next cannot: everything then stays as it is. */
  readonly verify: (next: EffectiveConfig) => void;
  /** It holds now: whoever keeps a value of it is told. */
  readonly onApplied: (config: EffectiveConfig) => Promise<void>;
};

export const createConfigState = (file: string, ports: ConfigPorts): ConfigState => {
  let loaded: LoadedConfig | null = null;
  let inForce: EffectiveConfig | null = null;
  const current = (): EffectiveConfig => {
    if (inForce === null)
      throw new KernelError('UNAVAILABLE', 'the configuration has not been read yet', { retryAfterMs: 100 });
    return inForce;
  };
  /** A section kept for one restart-only key keeps its live keys too: say so instead of claiming them applied. */
  const outcome = (changes: readonly ConfigChange[]): Change[] => {
    const kept = new Set(changes.filter(({ effect }) => effect === 'restart').map(({ key }) => key.split('.')[0]));
    return changes.map((change) => {
      if (kept.has(change.key.split('.')[0])) return described({ ...change, effect: 'restart' }, false);
      return described(change, change.effect === 'live');
    });
  };

  return {
    file,
    config: current,
    load: async (signal) => {
      loaded = await readKernelConfig({ file, signal });
      inForce = loaded.config;
    },
    check: async (signal) => {
      try {
        const next = await readKernelConfig({ file, signal });
        const changes =
          inForce === null
            ? []
            : outcome(planConfigChange(inForce, next.config)).map((change) => described(change, false));
        return { ok: true, file, issues: [], changes };
      } catch (thrown) {
        const error = toKernelError(thrown);
        if (error.code !== 'CONFIG_INVALID') throw error;
        const issues = error.context['issues'] as OperationResult<'config.check'>['issues'];
        return { ok: false, file, issues, changes: [] };
      }
    },
    show: () => {
      if (loaded === null)
        throw new KernelError('UNAVAILABLE', 'the configuration has not been read yet', { retryAfterMs: 100 });
      return { file, values: [...describeConfig({ config: current(), sources: loaded.sources, file })] };
    },
    reload: async (signal) => {
      const next = await readKernelConfig({ file, signal });
      const changes = planConfigChange(current(), next.config);
      const merged = merge(current(), next.config, changes);
      ports.verify(merged);
      inForce = merged;
      loaded = next;
      await ports.onApplied(merged);
      return { file, changes: outcome(changes) };
    },
  };
};
