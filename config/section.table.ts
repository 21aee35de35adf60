/** How the settings of kernel.yaml nest. */
import type { Leaf } from './setting-kinds.table.ts';

/** A mapping with known keys. */
export type Section<C = { readonly [key: string]: SettingNode }> = {
  readonly node: 'section';
  readonly describe: string;
  readonly children: C;
};
export type SettingNode = Leaf<unknown> | Section;

/** Declares a mapping; exists for inference only. */
export const section = <const C extends Readonly<Record<string, SettingNode>>>(
  describe: string,
  children: C,
): Section<C> => ({
  node: 'section',
  describe,
  children,
});
