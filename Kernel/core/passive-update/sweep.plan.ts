/** Decides what interrupted changes left behind and may go. */
import type { DurableStep } from './durable-step.ts';
import { readGenerationName, type StoreLayout } from './store-layout.table.ts';

/** What a look at the disk found. `current`: a generation, `absent`, or `damaged` when it says nothing usable. */
export type SweepFacts = {
  readonly storeTemporary: readonly string[];
  readonly modulesTemporary: readonly string[];
  readonly modules: readonly {
    readonly directory: string;
    readonly entries: readonly string[];
    readonly generations: readonly string[];
    readonly current: number | 'absent' | 'damaged';
  }[];
};

/**
 * Lists the removals. Careful by default: where `current` is damaged, or is missing beside more than the one
 * generation that an interrupted first install makes, nothing of the module is touched, since it may be the
 * only trace of what was installed.
 */
export const planSweep = (layout: StoreLayout, facts: SweepFacts): readonly DurableStep[] => {
  const paths = [
    ...facts.storeTemporary.map((name) => `${layout.storeTemporary}/${name}`),
    ...facts.modulesTemporary.map((name) => `${layout.modulesTemporary}/${name}`),
  ];
  for (const module of facts.modules) {
    const directory = `${layout.modules}/${module.directory}`;
    if (module.current === 'damaged') continue;
    if (module.current === 'absent') {
      const whole = module.generations.filter((name) => !name.startsWith('.'));
      const leftover = whole.length === 0 || (whole.length === 1 && whole[0] === '1');
      if (leftover && module.entries.every((entry) => entry === 'generations' || entry.startsWith('.')))
        paths.push(directory);
      continue;
    }
    const { current } = module;
    paths.push(...module.entries.filter((entry) => entry.startsWith('.')).map((entry) => `${directory}/${entry}`));
    const stale = module.generations.filter(
      (name) => name.startsWith('.') || (readGenerationName(name) ?? 0) > current,
    );
    paths.push(...stale.map((name) => `${directory}/generations/${name}`));
  }
  return paths.map((path) => ({ do: 'removeTree', path }));
};
