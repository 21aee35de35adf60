/** Installed modules of this kernel: changes them one at a time and tells the zones what ought to run. */
import type { EffectiveConfig } from '../../Kernel/contract/effective-config.ts';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { ModuleName, ZoneName } from '../../Kernel/contract/ids.ts';
import type { InstalledModule } from '../../Kernel/contract/module/module-record.schema.ts';
import type { ModuleShow, Status } from '../../Kernel/contract/operations/shapes.ts';
import type { Clock } from '../../Kernel/contract/ports.ts';
import type { OperationResult } from '../../Kernel/contract/operations/index.ts';
import type { Supervisor } from '../../zones/supervisor/supervisor.ts';
import { instanceRows, modulePhase } from '../../zones/supervisor/views.ts';
import { readArtifact } from '../modules/unpack.ts';
import type { ModuleStore } from '../modules/module-store.ts';
import { checkModuleValues, loadDesired, type BrokenModule } from './desired-modules.ts';

/** How long an install waits to see its module's first instance come up or fail. */
const FIRST_ANSWER_MS = 20_000;
const MAX_ISSUES_SHOWN = 8;

/** @throws KernelError `CONFIG_VALUES_INVALID`, with a JSON Pointer to each value that does not fit */
const verifyValues = (module: Pick<InstalledModule, 'manifest'>, config: EffectiveConfig): void => {
  const { name, version } = module.manifest;
  const { issues } = checkModuleValues(module, config);
  if (issues.length === 0) return;
  const text = issues.map(({ pointer, message }) => `${pointer || '/'}: ${message}`).join('; ');
  throw new KernelError('CONFIG_VALUES_INVALID', `modules.${name}.config does not fit ${name} ${version}: ${text}`, {
    context: { module: name, issues: issues.slice(0, MAX_ISSUES_SHOWN) },
    remedy: 'Correct the values in kernel.yaml, then: kernelctl config reload',
  });
};

/** Waits no longer than the signal allows; what is under way goes on to its end. */
const unlessAborted = async <T>(work: Promise<T>, signal: AbortSignal): Promise<T> => {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
};

export type ModuleRegistry = {
  /**
   * Checks the values of installed modules in a configuration that is about to hold. A module whose values do not
   * fit already stands in nobody's way.
   *
   * @throws KernelError `CONFIG_VALUES_INVALID`
   */
  readonly verifyConfig: (next: EffectiveConfig) => void;
  /** Why an installed module cannot be called; null: it can, or there is none of that name. */
  readonly whyBroken: (name: string) => string | null;
  /** Reads store and configuration anew and brings the zones to it. */
  readonly refresh: () => Promise<void>;
  readonly rows: () => Status['modules'];
  readonly list: () => ModuleShow[];
  readonly show: (name: string) => ModuleShow;
  readonly install: (
    bytes: Buffer,
    zone: ZoneName | undefined,
    by: string,
    signal: AbortSignal,
  ) => Promise<OperationResult<'module.install'>>;
  readonly restart: (name: string, signal: AbortSignal) => Promise<ModuleShow>;
  readonly remove: (name: string, signal: AbortSignal) => Promise<boolean>;
};

export const createModuleRegistry = (ports: {
  readonly store: ModuleStore;
  readonly supervisor: Supervisor;
  readonly config: () => EffectiveConfig;
  readonly clock: Clock;
  readonly report: (event: {
    kind: string;
    severity: 'info' | 'warn' | 'error';
    module: string;
    zone?: string;
    reason: string;
  }) => void;
  readonly onRemoved: (name: string) => Promise<void>;
}): ModuleRegistry => {
  const { store, supervisor } = ports;
  let installed: readonly InstalledModule[] = [];
  let broken: readonly BrokenModule[] = [];
  let last: Promise<unknown> = Promise.resolve();
  /** Removals that wait for instances to end, each with what ends its waiting when the module comes back. */
  const removals = new Set<{ readonly name: string; readonly cameBack: () => void }>();

  /** One change at a time: the store and the zones are never told two different truths. */
  const exclusively = <T>(run: () => Promise<T>): Promise<T> => {
    const result = last.then(run, run);
    last = result.catch(() => undefined);
    return result;
  };

  const reload = async (): Promise<void> => {
    const next = await loadDesired(store, ports.config());
    const known = new Set(broken.map(({ name, reason }) => `${name} ${reason}`));
    for (const { name, reason } of next.broken) {
      if (!known.has(`${name} ${reason}`))
        ports.report({ kind: 'module.broken', severity: 'error', module: name, reason });
    }
    installed = next.installed;
    broken = next.broken;
    supervisor.setDesired(next.desired);
  };

  const phaseOf = (name: string): { phase: ModuleShow['phase']; reason: string | null } => {
    const fault = broken.find((module) => module.name === name);
    if (fault !== undefined) return { phase: 'broken', reason: fault.reason };
    const routed = supervisor.find(name);
    return modulePhase(routed?.units ?? [], routed?.zoneFault ?? null);
  };

  const view = (module: InstalledModule): ModuleShow => ({
    name: module.name,
    version: module.slots.active.version,
    zone: module.zone,
    tier: module.manifest.tier,
    tenant: module.manifest.tenant,
    ...phaseOf(module.name),
    signed: !module.unsigned,
    generation: module.generation,
    slots: module.slots,
    functions: Object.entries(module.manifest.functions).map(([name, declared]) => ({
      name,
      timeoutMs: declared.timeoutMs ?? ports.config().instances.callTimeoutMs,
      risk: declared.risk,
      idempotent: declared.idempotent,
    })),
    config: checkModuleValues(module, ports.config()).values,
    instances: instanceRows(supervisor.find(module.name)?.units ?? []),
    installedAt: module.installedAt,
  });

  const find = (name: string): InstalledModule => {
    const module = installed.find((other) => other.name === name);
    if (module === undefined) {
      const fault = broken.find((other) => other.name === name);
      if (fault !== undefined) throw new KernelError('STATE_CORRUPT', `module ${name} cannot be used: ${fault.reason}`);
      throw new KernelError('MODULE_NOT_FOUND', `no module ${JSON.stringify(name)} is installed`, {
        remedy: 'kernelctl module ls shows what is.',
      });
    }
    return module;
  };

  /** Resolves when the zone of a module has come to rest, or its time is over; either way `show` tells the truth. */
  const awaitAnswer = async (zone: ZoneName, signal: AbortSignal): Promise<void> => {
    try {
      await supervisor.settled(zone, AbortSignal.any([signal, AbortSignal.timeout(FIRST_ANSWER_MS)]));
    } catch (thrown) {
      if (!(thrown instanceof KernelError) || thrown.code !== 'DEADLINE_EXCEEDED') throw thrown;
    }
  };

  const isBack = (name: string): boolean =>
    installed.some((module) => module.name === name) || broken.some((module) => module.name === name);

  /**
   * Takes away what a removed module leaves behind, once nothing of it writes any more. An install in the meantime
   * starts it again, so that its units never stop: then it is not removed, and its log is that of the new one.
   */
  const finishRemoval = async (name: string): Promise<boolean> => {
    const back = Promise.withResolvers<void>();
    const removal = { name, cameBack: () => back.resolve() };
    removals.add(removal);
    try {
      const stopped = [...supervisor.zones.values()].map((zone) => zone.moduleStopped(name as ModuleName));
      await Promise.race([Promise.all(stopped), back.promise]);
      return await exclusively(async () => {
        if (isBack(name))
          throw new KernelError('CONFLICT', `module ${name} was installed again while it was being removed`, {
            remedy: 'kernelctl module ls shows what is installed.',
          });
        await ports.onRemoved(name);
        ports.report({ kind: 'module.removed', severity: 'info', module: name, reason: 'asked by an operator' });
        return true;
      });
    } finally {
      removals.delete(removal);
    }
  };

  return {
    refresh: () => exclusively(reload),
    verifyConfig: (next) => {
      for (const module of installed) if (!broken.some(({ name }) => name === module.name)) verifyValues(module, next);
    },
    whyBroken: (name) => broken.find((module) => module.name === name)?.reason ?? null,
    rows: () => [
      ...installed.map((module) => {
        const { name, tier, phase, reason, zone, signed, slots } = view(module);
        return { name, tier, phase, reason, zone, signed, slots };
      }),
      ...broken
        .filter(({ name }) => !installed.some((module) => module.name === name))
        .map(({ name, reason }) => ({
          name,
          tier: 'unknown',
          phase: 'broken' as const,
          reason,
          zone: 'sandbox' as const,
          signed: false,
          slots: { active: null, fallback: null, next_stable: null },
        })),
    ],
    list: () => installed.map(view),
    show: (name) => view(find(name)),
    install: async (bytes, zone, by, signal) => {
      const artifact = await readArtifact(bytes);
      const { manifest } = artifact;
      verifyValues(artifact, ports.config());
      const module = await exclusively(async () => {
        const digest = await store.put(artifact);
        const target = zone ?? installed.find((other) => other.name === manifest.name)?.zone ?? manifest.zone;
        const made = await store.install(manifest.name, { digest, zone: target, by });
        await reload();
        for (const removal of removals) if (removal.name === made.name) removal.cameBack();
        return made;
      });
      ports.report({
        kind: 'module.installed',
        severity: 'info',
        module: module.name,
        zone: module.zone,
        reason: `version ${manifest.version} by ${by}, unsigned`,
      });
      await awaitAnswer(module.zone, signal);
      return {
        module: module.name,
        version: manifest.version,
        digest: module.slots.active.digest,
        zone: module.zone,
        generation: module.generation,
        signed: !module.unsigned,
        phase: phaseOf(module.name).phase,
      };
    },
    restart: async (name, signal) => {
      const module = find(name);
      await exclusively(reload);
      const running = supervisor.find(name);
      if (running === null)
        throw new KernelError('MODULE_UNAVAILABLE', phaseOf(name).reason ?? `module ${name} cannot run`);
      running.zone.restartModule(module.name);
      await awaitAnswer(module.zone, signal);
      return view(find(name));
    },
    remove: async (name, signal) => {
      const removed = await exclusively(async () => {
        const gone = await store.remove(name as ModuleName);
        await reload();
        return gone;
      });
      if (!removed) throw new KernelError('MODULE_NOT_FOUND', `no module ${JSON.stringify(name)} is installed`);
      return unlessAborted(finishRemoval(name), signal);
    },
  };
};
