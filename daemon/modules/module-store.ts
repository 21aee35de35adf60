/** What the kernel asks of the store of modules (DESIGN section 8, "Files"). */
import type { Artifact } from '../../Kernel/contract/module/artifact.schema.ts';
import type { BrokenModule, InstalledModule } from '../../Kernel/contract/module/module-record.schema.ts';
import type { Digest, ModuleName, ZoneName } from '../../Kernel/contract/ids.ts';

/** Every change is durable when its promise resolves, and leaves the old state whole when it rejects. */
export type ModuleStore = {
  /** Puts a checked artifact under its digest; one that is there already and whole is left alone. */
  readonly put: (artifact: Artifact) => Promise<Digest>;
  /**
   * Makes a new generation of the module whose active slot is that artifact, and switches to it.
   *
   * @throws KernelError `NOT_FOUND` (no such digest in the store), `MODULE_INVALID` (it is another module),
   *   `STATE_CORRUPT`, `STATE_UNUSABLE` (disk full, read-only, no permission)
   */
  readonly install: (
    name: ModuleName,
    options: { readonly digest: Digest; readonly zone: ZoneName; readonly by: string },
  ) => Promise<InstalledModule>;
  /** Takes a module away; false when there was none. Its artifact stays in the store. */
  readonly remove: (name: ModuleName) => Promise<boolean>;
  /** All modules, by name. Damage is told in `broken`, never thrown. */
  readonly list: () => Promise<{
    readonly modules: readonly InstalledModule[];
    readonly broken: readonly BrokenModule[];
  }>;
  /**
   * Reads an artifact and checks every file against its metadata again.
   *
   * @throws KernelError `NOT_FOUND`, `DIGEST_MISMATCH` (names the file), `STATE_CORRUPT`
   */
  readonly load: (digest: Digest) => Promise<Artifact>;
  /** Removes what interrupted changes left behind; returns the paths. Run once before anything else. */
  readonly sweep: () => Promise<readonly string[]>;
};
