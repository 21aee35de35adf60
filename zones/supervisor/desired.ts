/** What ought to run, as the store and the configuration say. Running containers are brought to it, never the reverse. */
import type { ModuleName, ZoneName } from '../../Kernel/contract/ids.ts';
import type { HealthCheck } from '../instance/health.ts';
import type { ModulePayload } from '../instance/assign-module.ts';

/** What a value does not fit: a JSON Pointer and a sentence. */
export type ValueIssue = { readonly pointer: string; readonly message: string };

/** What the manifest declares of one function, ready to be checked against. */
export type FunctionContract = {
  /** `null`: the configured default holds. */
  readonly timeoutMs: number | null;
  readonly idempotent: boolean;
  /** Empty: it fits. */
  readonly checkParams: (value: unknown) => readonly ValueIssue[];
  readonly checkResult: (value: unknown) => readonly ValueIssue[];
};

/** Limits that a module asks for; what is left out comes from its zone. */
export type ModuleResources = {
  readonly memoryBytes?: number;
  readonly cpus?: number;
  readonly pids?: number;
  readonly tmpBytes?: number;
};

export type DesiredModule = {
  readonly name: ModuleName;
  readonly zone: ZoneName;
  readonly tier: 'core' | 'critical' | 'standard' | 'experimental';
  readonly version: string;
  readonly digest: string;
  readonly generation: number;
  readonly instances: number;
  readonly resources: ModuleResources;
  /** Of the configuration values: an instance that was given others is not adopted. */
  readonly configDigest: string;
  readonly functions: ReadonlyMap<string, FunctionContract>;
  readonly bus: { readonly publish: readonly string[]; readonly subscribe: readonly string[] };
  /** Asked at intervals; null: nothing beyond the heartbeat. */
  readonly health: HealthCheck | null;
  readonly loadPayload: () => Promise<ModulePayload>;
};

/**
 * Two that differ in this need other instances at once. Configuration values are not among it: a reload says that
 * they hold for the next instance, and an operator replaces the running ones when it suits.
 */
export const sameInstances = (a: DesiredModule, b: DesiredModule): boolean =>
  a.digest === b.digest && a.generation === b.generation && a.zone === b.zone;
