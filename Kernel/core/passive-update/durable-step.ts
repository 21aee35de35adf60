/**
 * One step of a change on disk. A change is a list of such steps, made beforehand: so it can be read, and a
 * test can stop after every one of them and look at what a power cut would leave.
 */
export type DurableStep =
  /** Makes a directory (0700); already there is fine only when `existing` says so. */
  | { readonly do: 'makeDirectory'; readonly path: string; readonly existing: boolean }
  /** Makes a new file (0400), writes it and syncs it; refuses to replace one. */
  | { readonly do: 'writeFile'; readonly path: string; readonly content: Uint8Array | string }
  | { readonly do: 'makeLink'; readonly path: string; readonly target: string }
  /** Syncs the entries of a directory: names made in it survive a power cut from here on. */
  | { readonly do: 'syncDirectory'; readonly path: string }
  /** Replaces `to` in one instant, or moves a directory to a name that is free. */
  | { readonly do: 'rename'; readonly from: string; readonly to: string }
  /** Removes a tree that nothing refers to any more; already gone is fine. */
  | { readonly do: 'removeTree'; readonly path: string };
