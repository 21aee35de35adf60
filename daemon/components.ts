/** The components of the manifest: how each starts, and how it undoes that. */
import { join } from 'node:path';
import { KernelError } from '../Kernel/contract/errors.ts';
import type { ZoneName } from '../Kernel/contract/ids.ts';
import type { HomePaths } from '../Kernel/contract/paths.ts';
import type { Clock, Log, Random } from '../Kernel/contract/ports.ts';
import type { EventBus } from '../Kernel/core/event-bus/event-bus.ts';
import type { Gate } from '../Kernel/gate/gate.ts';
import type { Component } from '../Kernel/lifecycle/kernel.runner.ts';
import type { ComponentName } from '../Kernel/manifest.ts';
import { createDockerEngine, type DockerEngine } from '../zones/docker/docker-engine.ts';
import type { Supervisor } from '../zones/supervisor/supervisor.ts';
import type { UidClaim } from '../zones/uids/uid-lease.verdict.ts';
import { createLog, type KernelLog } from './adapters/log.ts';
import { createOutputLog, type OutputLog } from './adapters/output-log.ts';
import { composeZones } from './compose-zones.ts';
import { openControlServer, type ControlServer } from './control/control-server.ts';
import type { ConfigState } from './handlers/config-state.ts';
import { createModuleRegistry, type ModuleRegistry } from './handlers/module-registry.ts';
import { openHome, type Home } from './home/home.ts';
import { openStore } from './modules/store.ts';
import type { ModuleStore } from './modules/module-store.ts';

const KERNEL_LOG_FILE_BYTES = 8 * 1024 * 1024;
const KERNEL_LOG_FILES = 4;

/** Parts that a component opens: absent before and after. */
export type Parts = {
  home?: Home;
  log?: KernelLog;
  output?: OutputLog;
  store?: ModuleStore;
  control?: ControlServer;
  engine?: DockerEngine;
  supervisor?: Supervisor;
  modules?: ModuleRegistry;
};

/** A part that must be up. @throws KernelError `UNAVAILABLE` */
export type Need = <K extends keyof Parts>(name: K) => NonNullable<Parts[K]>;

export const needOf =
  (parts: Parts): Need =>
  (name) => {
    const part = parts[name];
    if (part === undefined) throw new KernelError('UNAVAILABLE', `${name} is not up yet`, { retryAfterMs: 200 });
    return part;
  };

export type ComponentPorts = {
  readonly parts: Parts;
  readonly need: Need;
  readonly paths: HomePaths;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly report: EventBus['publish'];
  readonly configState: ConfigState;
  readonly gate: Gate;
  readonly engineHost: () => string;
  readonly claims: () => Promise<readonly UidClaim[]>;
  readonly projectDirectory: string;
  readonly onZoneChange: (zone: ZoneName, supervisor: Supervisor) => void;
};

export const createComponents = (ports: ComponentPorts): Readonly<Record<ComponentName, Component>> => {
  const { parts, need, paths, clock, random, log, report, configState } = ports;
  return {
    home: {
      start: async () => {
        parts.home = await openHome({ paths, random });
      },
      stop: async () => {
        parts.home?.[Symbol.dispose]();
        delete parts.home;
      },
    },
    configuration: {
      start: (signal) => configState.load(signal),
      stop: async () => undefined,
    },
    log: {
      start: async () => {
        const { logs } = configState.config();
        parts.log = createLog({
          level: logs.level,
          output: 1,
          file: {
            path: join(paths.logsDir, 'kernel.log'),
            maxFileBytes: KERNEL_LOG_FILE_BYTES,
            files: KERNEL_LOG_FILES,
          },
        });
        parts.output = createOutputLog({ dir: join(paths.logsDir, 'modules'), limits: logs.module, clock });
      },
      stop: async () => {
        await parts.output?.[Symbol.asyncDispose]();
        delete parts.output;
        await parts.log?.flush(1_000);
        parts.log?.[Symbol.dispose]();
        delete parts.log;
      },
    },
    store: {
      start: async () => {
        const store = openStore({ root: paths.state, clock, log });
        const swept = await store.sweep();
        if (swept.length > 0)
          report({
            kind: 'store.swept',
            severity: 'warn',
            reason: `${swept.length} leftovers of an interrupted change were removed`,
          });
        parts.store = store;
      },
      stop: async () => {
        delete parts.store;
      },
    },
    control: {
      start: async () => {
        const { control, wire } = configState.config();
        parts.control = await openControlServer({
          socketPath: paths.operatorSocket,
          socketKind: 'operator',
          mode: control.group === null ? 0o600 : 0o660,
          group: control.group,
          gate: ports.gate,
          limits: wire.operator,
          clock,
          log,
        });
      },
      stop: async () => {
        const { drainTimeoutMs } = configState.config().lifecycle;
        parts.control?.stopAccepting();
        await parts.control?.drain(drainTimeoutMs);
        await parts.control?.close();
        delete parts.control;
      },
    },
    zones: {
      start: async () => {
        const home = need('home');
        const engine = createDockerEngine({
          host: ports.engineHost(),
          clock,
          log,
          requestTimeoutMs: configState.config().engine.timeoutMs,
        });
        parts.engine = engine;
        const supervisor: Supervisor = composeZones({
          home: home.id,
          engine,
          engineHost: ports.engineHost(),
          clock,
          random,
          log,
          paths,
          config: configState.config,
          projectDirectory: ports.projectDirectory,
          claims: ports.claims,
          appendOutput: (line) => need('output').append(line.module, line),
          report,
          onChange: (zone) => ports.onZoneChange(zone, supervisor),
        });
        parts.supervisor = supervisor;
        parts.modules = createModuleRegistry({
          store: need('store'),
          supervisor,
          config: configState.config,
          clock,
          report,
          onRemoved: (name) => need('output').remove(name),
        });
        await parts.modules.refresh();
        supervisor.open();
      },
      stop: async (policy, signal) => {
        // Instances that stay would lose the calls in flight with their connection: those are waited for first.
        if (policy === 'leave') await parts.control?.drain(configState.config().lifecycle.drainTimeoutMs);
        await parts.supervisor?.close(policy, signal);
        delete parts.supervisor;
        delete parts.modules;
      },
    },
  };
};
