/** What ought to run, from the store and the configuration: makes `DesiredModule`s of installed modules. */
import { createHash } from 'node:crypto';
import { toKernelError } from '../../Kernel/contract/errors.ts';
import type { EffectiveConfig } from '../../Kernel/contract/effective-config.ts';
import { compileSchema } from '../../Kernel/contract/module/json-schema/compile.ts';
import { validate } from '../../Kernel/contract/module/json-schema/validate.ts';
import type { InstalledModule } from '../../Kernel/contract/module/module-record.schema.ts';
import { TARGETS_FILE } from '../../Kernel/contract/module/artifact.schema.ts';
import type { DesiredModule, FunctionContract, ValueIssue } from '../../zones/supervisor/desired.ts';
import type { ModuleStore } from '../modules/module-store.ts';

export type BrokenModule = { readonly name: string; readonly reason: string };

const checker = (schema: unknown): ((value: unknown) => readonly ValueIssue[]) => {
  const compiled = compileSchema(schema);
  return (value) => {
    const result = validate(compiled, value);
    return result.ok ? [] : result.issues;
  };
};

const functionsOf = (module: InstalledModule): ReadonlyMap<string, FunctionContract> =>
  new Map(
    Object.entries(module.manifest.functions).map(([name, declared]) => [
      name,
      {
        timeoutMs: declared.timeoutMs,
        idempotent: declared.idempotent,
        checkParams: checker(declared.params),
        checkResult: checker(declared.result),
      },
    ]),
  );

/** Values given in kernel.yaml for this module, checked against what its manifest asks for. */
export const checkModuleValues = (
  module: Pick<InstalledModule, 'manifest'>,
  config: EffectiveConfig,
): { readonly values: unknown; readonly issues: readonly ValueIssue[] } => {
  const values = config.modules[module.manifest.name]?.config ?? {};
  return { values, issues: checker(module.manifest.config)(values) };
};

/** Independent of the order in which keys were written: reordering kernel.yaml replaces nothing. */
const digestOfValues = (values: unknown): string => {
  const sorted = (_key: string, value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  return createHash('sha256').update(JSON.stringify(values, sorted)).digest('hex');
};

const desiredOf = (module: InstalledModule, store: ModuleStore, values: unknown): DesiredModule => {
  const { manifest, slots } = module;
  const { memoryBytes, cpus, pids, tmpBytes } = manifest.resources;
  return {
    name: module.name,
    zone: module.zone,
    tier: manifest.tier,
    version: slots.active.version,
    digest: slots.active.digest,
    generation: module.generation,
    instances: manifest.instances,
    resources: {
      ...(memoryBytes === null ? {} : { memoryBytes }),
      ...(cpus === null ? {} : { cpus }),
      ...(pids === null ? {} : { pids }),
      ...(tmpBytes === null ? {} : { tmpBytes }),
    },
    configDigest: digestOfValues(values),
    functions: functionsOf(module),
    bus: manifest.bus,
    health: manifest.health,
    loadPayload: async () => {
      const artifact = await store.load(slots.active.digest);
      // The metadata goes along: with it the agent checks that the files are what the digest names.
      const files = new Map([...artifact.files, [TARGETS_FILE, Buffer.from(artifact.metadata)]]);
      return {
        module: module.name,
        version: slots.active.version,
        digest: slots.active.digest,
        entry: manifest.entry,
        files,
        functions: Object.keys(manifest.functions),
        config: values,
      };
    },
  };
};

/** Reads the store anew. A module that cannot run is told in `broken` and stands in nobody's way. */
export const loadDesired = async (
  store: ModuleStore,
  config: EffectiveConfig,
): Promise<{
  readonly installed: readonly InstalledModule[];
  readonly desired: readonly DesiredModule[];
  readonly broken: readonly BrokenModule[];
}> => {
  const { modules, broken } = await store.list();
  const desired: DesiredModule[] = [];
  const unusable: BrokenModule[] = [...broken];
  for (const module of modules) {
    try {
      const { values, issues } = checkModuleValues(module, config);
      if (issues.length > 0) {
        const text = issues.map(({ pointer, message }) => `${pointer || '/'}: ${message}`).join('; ');
        unusable.push({
          name: module.name,
          reason: `modules.${module.name}.config in kernel.yaml does not fit: ${text}`,
        });
        continue;
      }
      desired.push(desiredOf(module, store, values));
    } catch (thrown) {
      unusable.push({ name: module.name, reason: toKernelError(thrown).message });
    }
  }
  return { installed: modules, desired, broken: unusable };
};
