/**
 * The only place where parts are constructed and joined (STYLE: injection). Reads as the manifest does: one
 * component after the other, each with how it starts and how it stops.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { EffectiveConfig } from '../Kernel/contract/effective-config.ts';
import { toKernelError } from '../Kernel/contract/errors.ts';
import { ZONE_NAMES, type ZoneName } from '../Kernel/contract/ids.ts';
import { OPERATIONS } from '../Kernel/contract/operations/index.ts';
import { chooseConfigFile, homePaths, type HomePaths } from '../Kernel/contract/paths.ts';
import type { Log } from '../Kernel/contract/ports.ts';
import { createEventBus, type EventBus } from '../Kernel/core/event-bus/event-bus.ts';
import type { KernelMode } from '../Kernel/gate/call.ts';
import { createGate, type Gate } from '../Kernel/gate/gate.ts';
import { standardSteps } from '../Kernel/gate/steps/standard-steps.ts';
import { createKernel, type Kernel } from '../Kernel/lifecycle/kernel.runner.ts';
import type { TerminatePolicy } from '../Kernel/lifecycle/kernel.machine.ts';
import type { Supervisor } from '../zones/supervisor/supervisor.ts';
import { zoneReason } from '../zones/supervisor/views.ts';
import { readHostUids } from '../zones/uids/host-uids.ts';
import { findConflicts } from '../zones/uids/uid-lease.verdict.ts';
import { createClock } from './adapters/clock.ts';
import { createLog } from './adapters/log.ts';
import { createRandom } from './adapters/random.ts';
import { createRelayLog } from './adapters/relay-log.ts';
import { createComponents, needOf, type Parts } from './components.ts';
import { findEngineHost } from './engine-host.ts';
import { createConfigState, type ConfigState } from './handlers/config-state.ts';
import { createHandlers } from './handlers/handlers.ts';
import { createUploads } from './handlers/uploads.ts';

/** Events that `kernelctl events` can look back on. */
const JOURNAL_CAPACITY = 4_096;
/** Calls in flight through the whole gate. */
const MAX_IN_FLIGHT = 16_384;
/** For components that come up before the configuration is read. */
const EARLY_TIMEOUT_MS = 30_000;

export type ComposeOptions = {
  readonly env: NodeJS.ProcessEnv;
  /** From `--config`; null: the home's, or the shipped one. */
  readonly configFile: string | null;
  readonly version: string;
  /** The installed program. */
  readonly projectDirectory: string;
  readonly onUp: (summary: {
    readonly paths: HomePaths;
    readonly bootMs: number | null;
    readonly mode: KernelMode;
  }) => void;
};

export type Composed = {
  readonly kernel: Kernel;
  readonly log: Log;
  readonly reload: () => Promise<void>;
  readonly terminate: (reason: string) => void;
};

/** Tells the kernel's mode by what ails its zones and its engine. */
const watchFaults = (kernel: Kernel, supervisor: Supervisor, zone: ZoneName): void => {
  const state = supervisor.zones.get(zone)!.state();
  const key = `zone ${zone}`;
  // On its way somewhere: what ailed it is not over yet, and not proven either.
  const settled = state.kind !== 'starting' && state.kind !== 'stopping';
  if (state.kind === 'failed' || state.kind === 'degraded')
    kernel.send({ kind: 'faultRaised', key, reason: zoneReason(state) ?? state.kind });
  else if (settled) kernel.send({ kind: 'faultCleared', key });
  const engine = supervisor.engine();
  if (engine.state === 'unreachable')
    kernel.send({
      kind: 'faultRaised',
      key: 'engine',
      reason: `${engine.reason ?? 'it does not answer'} (kernelctl doctor says what to do)`,
    });
  else kernel.send({ kind: 'faultCleared', key: 'engine' });
};

export const compose = (options: ComposeOptions): Composed => {
  const paths = homePaths(options.env);
  const clock = createClock();
  const random = createRandom();
  const early = createLog({ level: 'info', file: null, output: 1 });
  const parts: Parts = {};
  const log = createRelayLog(() => parts.log ?? early);
  const events: EventBus = createEventBus({ clock, capacity: JOURNAL_CAPACITY });
  const shipped = join(options.projectDirectory, 'config/kernel.yaml');
  // Asked anew at each reading: a file put into the home takes effect with a reload, one taken away ceases to.
  const findConfigFile = (): string => options.configFile ?? chooseConfigFile(paths, existsSync, shipped);

  const need = needOf(parts);

  const report: EventBus['publish'] = (event) => {
    const { kind, severity, reason, ...fields } = event;
    log[severity](`${kind}: ${reason}`, fields);
    return events.publish(event);
  };

  const applyConfig = async (config: EffectiveConfig): Promise<void> => {
    parts.log?.setLevel(config.logs.level);
    parts.output?.setLimits(config.logs.module);
    parts.control?.setLimits(config.wire.operator);
    await parts.modules?.refresh();
  };
  const loaded = createConfigState(findConfigFile, {
    verify: (next) => parts.modules?.verifyConfig(next),
    onApplied: applyConfig,
  });
  /** However a reload was asked for, by signal or by an operator, it is told the same way. */
  const configState: ConfigState = {
    ...loaded,
    reload: async (signal) => {
      try {
        const result = await loaded.reload(signal);
        const live = result.changes.filter(({ applied }) => applied).length;
        for (const change of result.changes) log.info(`configuration: ${change.key}`, { ...change });
        report({
          kind: 'config.reloaded',
          severity: 'info',
          reason: `${result.file}: ${result.changes.length} keys changed, ${live} applied live`,
        });
        return result;
      } catch (thrown) {
        const { code, message, context } = toKernelError(thrown);
        report({ kind: 'config.refused', severity: 'error', code, reason: message, details: context });
        throw thrown;
      }
    },
  };
  const uploads = createUploads({ clock, random });
  const engineHost = (): string => findEngineHost(configState.config().engine.host, options.env);
  const mode = (): KernelMode => {
    const { kind } = kernel.state();
    return kind === 'stopped' ? 'stopping' : kind;
  };
  const claims = () => readHostUids();

  const handlers = createHandlers({
    version: options.version,
    paths,
    clock,
    events,
    configState,
    uploads,
    engineHost,
    mode,
    engine: () => need('engine'),
    kernel: () => kernel,
    supervisor: () => need('supervisor'),
    supervisorIfUp: () => parts.supervisor ?? null,
    modules: () => need('modules'),
    modulesIfUp: () => parts.modules ?? null,
    output: () => need('output'),
    uidConflicts: async () =>
      findConflicts(configState.config().instances.uidRange, await claims()).map(
        ({ first, last, by }) => `${first}-${last} is ${by}`,
      ),
    figures: () => ({
      gate: gate.figures(),
      control: parts.control?.figures() ?? null,
      output: parts.output?.figures() ?? null,
      log: { lostLines: (parts.log ?? early).lost().file, lostOutputLines: (parts.log ?? early).lost().output },
      lockHeld: parts.home?.lockHeld() ?? false,
    }),
  });
  const gate: Gate = createGate({
    operations: OPERATIONS,
    handlers,
    clock,
    log,
    events,
    steps: standardSteps({
      operations: OPERATIONS,
      mode,
      limits: () => ({ perConnection: configState.config().wire.operator.maxInFlight, total: MAX_IN_FLIGHT }),
    }),
  });

  const enabledZones = (): ZoneName[] => ZONE_NAMES.filter((zone) => configState.config().zones[zone].enabled);

  const components = createComponents({
    parts,
    need,
    paths,
    clock,
    random,
    log,
    report,
    configState,
    gate,
    engineHost,
    claims,
    projectDirectory: options.projectDirectory,
    onZoneChange: (zone, supervisor) => watchFaults(kernel, supervisor, zone),
  });

  const handOver = async (): Promise<void> => {
    const supervisor = need('supervisor');
    const zones = enabledZones();
    for (const zone of zones) supervisor.startZone(zone);
    await Promise.all(
      zones.map(async (zone) => {
        try {
          await supervisor.settled(zone, AbortSignal.timeout(configState.config().lifecycle.componentTimeoutMs));
        } catch (thrown) {
          log.warn('a zone took too long to come to rest; going on without it', {
            zone,
            reason: toKernelError(thrown).message,
          });
        }
        kernel.send({ kind: 'zoneSettled', zone });
      }),
    );
  };

  const kernel: Kernel = createKernel({
    clock,
    log,
    components,
    report,
    zones: ZONE_NAMES,
    timeouts: () => {
      try {
        const { componentTimeoutMs, drainTimeoutMs } = configState.config().lifecycle;
        return { componentMs: componentTimeoutMs, drainMs: drainTimeoutMs };
      } catch (thrown) {
        if (toKernelError(thrown).code !== 'UNAVAILABLE') throw thrown;
        return { componentMs: EARLY_TIMEOUT_MS, drainMs: EARLY_TIMEOUT_MS };
      }
    },
    handOver: () => {
      for (const zone of ZONE_NAMES) if (!enabledZones().includes(zone)) kernel.send({ kind: 'zoneSettled', zone });
      void handOver().catch((thrown: unknown) =>
        log.error('handover failed', { reason: toKernelError(thrown).message }),
      );
    },
    onUp: () => options.onUp({ paths, bootMs: kernel.bootMs(), mode: mode() }),
  });

  const terminatePolicy = (): TerminatePolicy => {
    try {
      return configState.config().lifecycle.onTerminate;
    } catch (thrown) {
      log.debug('terminated before the configuration was read', { reason: toKernelError(thrown).message });
      return 'leave';
    }
  };

  return {
    kernel,
    log,
    reload: async () => {
      try {
        await configState.reload(AbortSignal.timeout(EARLY_TIMEOUT_MS));
      } catch {
        // Told as `config.refused`; everything stays as it was.
      }
    },
    terminate: (reason) => kernel.send({ kind: 'terminateRequested', policy: terminatePolicy(), reason }),
  };
};
