/**
 * The changes of the store, each as a list of durable steps.
 *
 * INVARIANTS, at every prefix of every list:
 * 1. `store/<hex>` is absent or whole: it appears by one rename, after all below it was synced.
 * 2. `current` names a generation that is whole, and names it durably: everything a link leads to was synced
 *    before the link appeared.
 * 3. What an interrupted change leaves has a name beginning with a dot, or is a generation with a higher
 *    number than `current`, or a module without `current`: `sweep` knows these and nothing else.
 */
import type { Digest, ModuleName } from '../../contract/ids.ts';
import type { GenerationRecord } from '../../contract/module/module-record.schema.ts';
import type { DurableStep } from './durable-step.ts';
import { currentTarget, SLOT_NAMES, slotTarget, type StoreLayout } from './store-layout.table.ts';

const makeDirectory = (path: string, existing = false): DurableStep => ({ do: 'makeDirectory', path, existing });
const syncDirectory = (path: string): DurableStep => ({ do: 'syncDirectory', path });

/** The directories between an artifact's own and its files, outer before inner. */
const directoriesOf = (paths: readonly string[]): readonly string[] => {
  const directories = new Set<string>();
  for (const path of paths) {
    for (let cut = path.indexOf('/'); cut !== -1; cut = path.indexOf('/', cut + 1)) directories.add(path.slice(0, cut));
  }
  return [...directories].toSorted();
};

/** Makes the directories that everything else stands in; safe to run at each start. */
export const planOpen = (layout: StoreLayout): readonly DurableStep[] => [
  ...[layout.store, layout.storeTemporary, layout.modules, layout.modulesTemporary].map((path) =>
    makeDirectory(path, true),
  ),
  syncDirectory(layout.store),
  syncDirectory(layout.modules),
  syncDirectory(layout.root),
];

/**
 * Writes an artifact beside the store and moves it in.
 *
 * @param replace a damaged artifact stands under this digest; it is moved away first
 * @param nonce makes the temporary name unique
 */
export const planPut = (
  layout: StoreLayout,
  artifact: { readonly digest: Digest; readonly files: ReadonlyMap<string, Uint8Array> },
  options: { readonly replace: boolean; readonly nonce: string },
): readonly DurableStep[] => {
  const temporary = `${layout.storeTemporary}/put-${options.nonce}`;
  const damaged = `${layout.storeTemporary}/damaged-${options.nonce}`;
  const target = layout.artifact(artifact.digest);
  const directories = directoriesOf([...artifact.files.keys()]);
  return [
    makeDirectory(temporary),
    ...directories.map((path) => makeDirectory(`${temporary}/${path}`)),
    ...[...artifact.files].map(([path, content]): DurableStep => ({
      do: 'writeFile',
      path: `${temporary}/${path}`,
      content,
    })),
    ...directories.toReversed().map((path) => syncDirectory(`${temporary}/${path}`)),
    syncDirectory(temporary),
    ...(options.replace ? [{ do: 'rename', from: target, to: damaged } as const] : []),
    { do: 'rename', from: temporary, to: target },
    syncDirectory(layout.store),
    ...(options.replace ? [{ do: 'removeTree', path: damaged } as const] : []),
  ];
};

/** Writes a generation beside the others, moves it in, and switches `current` to it by one rename. */
export const planInstall = (
  layout: StoreLayout,
  name: ModuleName,
  record: GenerationRecord,
  nonce: string,
): readonly DurableStep[] => {
  const generations = layout.generations(name);
  const temporary = `${generations}/.tmp-${nonce}`;
  const nextCurrent = `${layout.module(name)}/.current-${nonce}`;
  const slots = SLOT_NAMES.flatMap((slot): DurableStep[] => {
    const filled = record.slots[slot];
    return filled === null
      ? []
      : [{ do: 'makeLink', path: `${temporary}/${slot}`, target: slotTarget(filled.digest as Digest) }];
  });
  return [
    makeDirectory(layout.module(name), true),
    syncDirectory(layout.modules),
    makeDirectory(generations, true),
    syncDirectory(layout.module(name)),
    makeDirectory(temporary),
    ...slots,
    { do: 'writeFile', path: `${temporary}/record.json`, content: `${JSON.stringify(record, null, 2)}\n` },
    syncDirectory(temporary),
    { do: 'rename', from: temporary, to: layout.generation(name, record.generation) },
    syncDirectory(generations),
    { do: 'makeLink', path: nextCurrent, target: currentTarget(record.generation) },
    { do: 'rename', from: nextCurrent, to: layout.current(name) },
    syncDirectory(layout.module(name)),
  ];
};

/** Moves a module out of sight by one rename, then takes it apart. */
export const planRemove = (layout: StoreLayout, name: ModuleName, nonce: string): readonly DurableStep[] => {
  const gone = `${layout.modulesTemporary}/removed-${nonce}`;
  return [
    { do: 'rename', from: layout.module(name), to: gone },
    syncDirectory(layout.modules),
    { do: 'removeTree', path: gone },
  ];
};
