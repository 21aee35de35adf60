/**
 * Where things lie below the state directory (DESIGN section 8). Pure: paths in, paths out.
 *
 * ```
 * store/<64 hex>/              one artifact: targets.json, module.yaml, files; immutable
 * store/.tmp/                  artifacts being written, or being removed
 * modules/<name>/current       -> generations/<n>, switched by one rename
 * modules/<name>/generations/<n>/{active,fallback,next_stable}  -> ../../../../store/<64 hex>
 * modules/<name>/generations/<n>/record.json
 * modules/.tmp/                modules being removed
 * ```
 * Links are relative, so that a home can be moved. A name that begins with a dot is never a module's.
 */
import type { Digest, ModuleName } from '../../contract/ids.ts';

export const SLOT_NAMES = ['active', 'fallback', 'next_stable'] as const;

export type StoreLayout = {
  readonly root: string;
  readonly store: string;
  readonly storeTemporary: string;
  readonly modules: string;
  readonly modulesTemporary: string;
  readonly artifact: (digest: Digest) => string;
  readonly module: (name: ModuleName) => string;
  readonly current: (name: ModuleName) => string;
  readonly generations: (name: ModuleName) => string;
  readonly generation: (name: ModuleName, generation: number) => string;
};

/** The hex digits of a digest, which are its directory in the store. */
export const digestHex = (digest: Digest): string => digest.slice('sha256:'.length);

/** What a slot's link says: the way from its generation to an artifact. */
export const slotTarget = (digest: Digest): string => `../../../../store/${digestHex(digest)}`;

/** What `current` says. */
export const currentTarget = (generation: number): string => `generations/${generation}`;

/** Reads `current`; null when it is not in the one form that is ever written. */
export const readCurrentTarget = (target: string): number | null => {
  const match = /^generations\/([1-9]\d{0,8})$/.exec(target);
  return match?.[1] === undefined ? null : Number(match[1]);
};

/** Reads the link of a slot; null when it is not in the one form that is ever written. */
export const readSlotTarget = (target: string): Digest | null => {
  const match = /^\.\.\/\.\.\/\.\.\/\.\.\/store\/([0-9a-f]{64})$/.exec(target);
  return match?.[1] === undefined ? null : (`sha256:${match[1]}` as Digest);
};

/** Reads the name of a generation's directory; null for anything else. */
export const readGenerationName = (name: string): number | null => (/^[1-9]\d{0,8}$/.test(name) ? Number(name) : null);

/** The paths of one state directory. */
export const layoutOf = (root: string): StoreLayout => {
  const store = `${root}/store`;
  const modules = `${root}/modules`;
  const module = (name: ModuleName): string => `${modules}/${name}`;
  return {
    root,
    store,
    storeTemporary: `${store}/.tmp`,
    modules,
    modulesTemporary: `${modules}/.tmp`,
    artifact: (digest) => `${store}/${digestHex(digest)}`,
    module,
    current: (name) => `${module(name)}/current`,
    generations: (name) => `${module(name)}/generations`,
    generation: (name, generation) => `${module(name)}/generations/${generation}`,
  };
};
