/**
 * The store of modules on disk (DESIGN section 8, "Files").
 *
 * One kernel owns a state directory (the lock of the home sees to that), so writers exclude each other in
 * this process only: one at a time for each module, and one for each digest.
 */
import { randomBytes } from 'node:crypto';
import { KernelError } from '../../Kernel/contract/errors.ts';
import { MODULE_NAME_PATTERN, parseModuleName, type Digest, type ModuleName } from '../../Kernel/contract/ids.ts';
import { type Artifact, TARGETS_FILE } from '../../Kernel/contract/module/artifact.schema.ts';
import type {
  BrokenModule,
  GenerationRecord,
  InstalledModule,
} from '../../Kernel/contract/module/module-record.schema.ts';
import type { Clock, Log } from '../../Kernel/contract/ports.ts';
import type { DurableStep } from '../../Kernel/core/passive-update/durable-step.ts';
import { planInstall, planOpen, planPut, planRemove } from '../../Kernel/core/passive-update/store-changes.plan.ts';
import { layoutOf, readGenerationName, type StoreLayout } from '../../Kernel/core/passive-update/store-layout.table.ts';
import { planSweep, type SweepFacts } from '../../Kernel/core/passive-update/sweep.plan.ts';
import { checkArtifact } from './check-artifact.ts';
import { runSteps } from './durable-steps.runner.ts';
import { createKeyedMutex } from './keyed-mutex.ts';
import type { ModuleStore } from './module-store.ts';
import { listDirectory, readCurrent, readInstalled, readStored, readStoredManifest } from './read-store.ts';

export type StoreOptions = {
  /** The state directory; must exist. */
  readonly root: string;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly log: Log;
  /** Runs the steps of a change; given by tests that interrupt it. */
  readonly run?: (steps: readonly DurableStep[]) => Promise<void>;
};

/** Names what is being written, apart from what an earlier kernel may have left. */
const newNonce = (): string => randomBytes(8).toString('hex');

/** The store below `root`. Its directories are made by the first change; reading needs none. */
export const openStore = ({ root, clock, log, run = runSteps }: StoreOptions): ModuleStore => {
  const layout = layoutOf(root);
  const exclusive = createKeyedMutex();
  let made = false;

  const makeDirectories = (): Promise<void> =>
    exclusive('directories', async () => {
      if (made) return;
      await run(planOpen(layout));
      made = true;
    });

  /** A change that fails, as on a full disk, takes its leftovers away at once instead of at the next start. */
  const attempt = async (
    steps: readonly DurableStep[],
    cleanup: () => readonly DurableStep[] | Promise<readonly DurableStep[]>,
  ): Promise<void> => {
    try {
      await run(steps);
    } catch (fault) {
      try {
        await run(await cleanup());
      } catch (second) {
        // The first fault is the one to tell; what stays is swept at the next start.
        log.warn('leftovers of a failed change stay until the next start', { reason: String(second) });
      }
      throw fault;
    }
  };

  const put = async (artifact: Artifact): Promise<Digest> => {
    // Checked once more: what is written under a digest must be what the digest names, whoever calls.
    const { digest, metadata, files } = checkArtifact(artifact.metadata, artifact.files);
    await makeDirectories();
    return exclusive(`store ${digest}`, async () => {
      const present = await tryStored(layout, digest);
      if (present === 'whole') return digest;
      if (present === 'damaged') log.warn('a damaged artifact is replaced', { digest });
      const nonce = newNonce();
      const all = new Map<string, Uint8Array>([[TARGETS_FILE, metadata], ...files]);
      const steps = planPut(layout, { digest, files: all }, { replace: present === 'damaged', nonce });
      await attempt(steps, () => [{ do: 'removeTree', path: `${layout.storeTemporary}/put-${nonce}` }]);
      return digest;
    });
  };

  const install: ModuleStore['install'] = (name, { digest, zone, by }) =>
    exclusive(`module ${name}`, async () => {
      const manifest = await readStoredManifest(layout, digest);
      if (manifest.name !== name) {
        throw new KernelError('MODULE_INVALID', `the artifact is the module ${manifest.name}, not ${name}`, {
          context: { digest },
        });
      }
      const { previous, next } = await numberGeneration(layout, name);
      const active = { version: manifest.version, digest };
      const record: GenerationRecord = {
        format: 1,
        module: name,
        generation: next,
        zone,
        version: manifest.version,
        digest,
        slots: { active, fallback: null, next_stable: null },
        unsigned: true,
        installedAt: new Date(clock.wallMs()).toISOString(),
        by: by.slice(0, 200),
        previous,
      };
      await attempt(planInstall(layout, name, record, newNonce()), async () => {
        const modules = [await lookAtModule(layout, name)];
        return planSweep(layout, { storeTemporary: [], modulesTemporary: [], modules });
      });
      return readInstalled(layout, name);
    });

  const remove = (name: ModuleName): Promise<boolean> =>
    exclusive(`module ${name}`, async () => {
      if (!(await listDirectory(layout.modules)).some((entry) => entry.name === name)) return false;
      await run(planRemove(layout, name, newNonce()));
      return true;
    });

  const list: ModuleStore['list'] = async () => {
    const modules: InstalledModule[] = [];
    const broken: BrokenModule[] = [];
    for (const { name } of await listDirectory(layout.modules)) {
      if (name.startsWith('.')) continue;
      try {
        if (!MODULE_NAME_PATTERN.test(name)) throw new KernelError('STATE_CORRUPT', 'this is not the name of a module');
        modules.push(await readInstalled(layout, parseModuleName(name)));
      } catch (fault) {
        if (!(fault instanceof KernelError)) throw fault;
        broken.push({ name: name.slice(0, 80), reason: `${fault.code}: ${fault.message}` });
      }
    }
    return { modules, broken };
  };

  const sweep = async (): Promise<readonly string[]> => {
    await makeDirectories();
    const steps = planSweep(layout, await gatherSweepFacts(layout));
    await run(steps);
    const paths = steps.flatMap((step) => (step.do === 'removeTree' ? [step.path] : []));
    if (paths.length > 0) log.info('removed what interrupted changes had left', { paths });
    return paths;
  };

  return { put, install, remove, list, sweep, load: (digest) => readStored(layout, digest) };
};

const tryStored = async (layout: StoreLayout, digest: Digest): Promise<'absent' | 'damaged' | 'whole'> => {
  const stands = (await listDirectory(layout.store)).some(({ name }) => digest === `sha256:${name}`);
  if (!stands) return 'absent';
  try {
    await readStored(layout, digest);
    return 'whole';
  } catch (fault) {
    if (fault instanceof KernelError) return 'damaged';
    throw fault;
  }
};

/** A number is never used twice, not even that of a generation whose install was interrupted. */
const numberGeneration = async (
  layout: StoreLayout,
  name: ModuleName,
): Promise<{ readonly previous: number | null; readonly next: number }> => {
  const current = await lookAtCurrent(layout, name);
  // A damaged `current` is replaced: installing again is the way to repair it.
  const previous = typeof current === 'number' ? current : null;
  const numbers = (await listDirectory(layout.generations(name))).map((entry) => readGenerationName(entry.name) ?? 0);
  return { previous, next: Math.max(0, previous ?? 0, ...numbers) + 1 };
};

const names = async (path: string): Promise<string[]> => (await listDirectory(path)).map((entry) => entry.name);

const lookAtModule = async (layout: StoreLayout, name: ModuleName): Promise<SweepFacts['modules'][number]> => ({
  directory: name,
  entries: await names(layout.module(name)),
  generations: await names(layout.generations(name)),
  current: await lookAtCurrent(layout, name),
});

const gatherSweepFacts = async (layout: StoreLayout): Promise<SweepFacts> => {
  const modules: SweepFacts['modules'][number][] = [];
  for (const entry of await listDirectory(layout.modules)) {
    if (!entry.isDirectory() || !MODULE_NAME_PATTERN.test(entry.name)) continue;
    modules.push(await lookAtModule(layout, parseModuleName(entry.name)));
  }
  return {
    storeTemporary: await names(layout.storeTemporary),
    modulesTemporary: await names(layout.modulesTemporary),
    modules,
  };
};

const lookAtCurrent = async (layout: StoreLayout, name: ModuleName): Promise<number | 'absent' | 'damaged'> => {
  try {
    return (await readCurrent(layout, name)) ?? 'absent';
  } catch (fault) {
    if (fault instanceof KernelError) return 'damaged';
    throw fault;
  }
};
