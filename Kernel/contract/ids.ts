/**
 * Branded identifiers: a plain string cannot be passed where an id is asked for, and one kind of id
 * cannot be passed for another. Each `parse…` returns the id or throws `INVALID_PARAMS`.
 */
import { KernelError } from './errors.ts';

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** One container that runs, or is ready to run, one module: `i-` and 12 hex digits. */
export type InstanceId = Brand<string, 'InstanceId'>;
/** A module's name: a lower-case DNS label of 1 to 40 characters. */
export type ModuleName = Brand<string, 'ModuleName'>;
/** `stable` or `sandbox`. */
export type ZoneName = 'stable' | 'sandbox';
/** `sha256:` and 64 hex digits. */
export type Digest = Brand<string, 'Digest'>;
/** The engine's own id of a container. */
export type ContainerId = Brand<string, 'ContainerId'>;
/** Names one home on one engine: 12 hex digits, made once per home. */
export type HomeId = Brand<string, 'HomeId'>;

export const ZONE_NAMES: readonly ZoneName[] = ['stable', 'sandbox'];

const parser =
  <T extends string>(pattern: RegExp, what: string) =>
  (text: string): T => {
    if (!pattern.test(text)) {
      throw new KernelError('INVALID_PARAMS', `${JSON.stringify(text.slice(0, 80))} is not ${what}`);
    }
    return text as T;
  };

/** @throws KernelError `INVALID_PARAMS` */
export const parseInstanceId = parser<InstanceId>(/^i-[0-9a-f]{12}$/, 'an instance id (i- and 12 hex digits)');
export const MODULE_NAME_PATTERN = /^[a-z](?:[a-z0-9]|-(?=[a-z0-9])){0,39}$/;
/** @throws KernelError `INVALID_PARAMS` */
export const parseModuleName = parser<ModuleName>(
  MODULE_NAME_PATTERN,
  'a module name (a-z, 0-9 and inner hyphens, starting with a letter, at most 40 characters)',
);
export const DIGEST_PATTERN = /^sha256:[0-9a-f]{64}$/;
/** @throws KernelError `INVALID_PARAMS` */
export const parseDigest = parser<Digest>(DIGEST_PATTERN, 'a digest (sha256: and 64 hex digits)');
/** @throws KernelError `INVALID_PARAMS` */
export const parseHomeId = parser<HomeId>(/^[0-9a-f]{12}$/, 'a home id (12 hex digits)');

/** Tells whether a string names a zone. */
export const isZoneName = (text: string): text is ZoneName => text === 'stable' || text === 'sandbox';
