/** Labels carry only facts that never change for a container (DESIGN section 5). */
import { isZoneName, parseHomeId, parseInstanceId } from '../../Kernel/contract/ids.ts';
import type { HomeId, InstanceId, ZoneName } from '../../Kernel/contract/ids.ts';
import type { ContainerSpec } from '../../Kernel/contract/ports.ts';

export const LABEL = {
  home: 'kerneld.home',
  zone: 'kerneld.zone',
  instance: 'kerneld.instance',
  spec: 'kerneld.spec',
  uid: 'kerneld.uid',
  class: 'kerneld.class',
} as const;

/** Container names carry the uid: the engine keeps names unique, which makes the lease atomic between two homes. */
export const containerNameOf = (uid: number): string => `kerneld-${uid}`;

/** The uid that a container's name leases, or null for a foreign name. */
export const uidOfName = (name: string): number | null => {
  const match = /^\/?kerneld-([0-9]{1,10})$/.exec(name);
  return match?.[1] === undefined ? null : Number(match[1]);
};

export const labelsOf = (spec: ContainerSpec): Record<string, string> => ({
  [LABEL.home]: spec.home,
  [LABEL.zone]: spec.zone,
  [LABEL.instance]: spec.instance,
  [LABEL.spec]: spec.specDigest,
  [LABEL.uid]: String(spec.uid),
  [LABEL.class]: spec.sizeClass,
});

export type LabelFacts = {
  readonly home: HomeId | null;
  readonly zone: ZoneName | null;
  readonly instance: InstanceId | null;
  readonly specDigest: string | null;
  readonly uid: number | null;
  readonly sizeClass: string | null;
};

/** Anyone in group docker may label a container: a value that does not parse is null, and never an error. */
export const readLabels = (labels: Readonly<Record<string, string>>): LabelFacts => {
  const zone = labels[LABEL.zone];
  const uid = labels[LABEL.uid];
  return {
    home: parsed(parseHomeId, labels[LABEL.home]),
    zone: zone !== undefined && isZoneName(zone) ? zone : null,
    instance: parsed(parseInstanceId, labels[LABEL.instance]),
    specDigest: labels[LABEL.spec] ?? null,
    uid: uid !== undefined && /^[0-9]{1,10}$/.test(uid) ? Number(uid) : null,
    sizeClass: labels[LABEL.class] ?? null,
  };
};

const parsed = <T>(parse: (text: string) => T, text: string | undefined): T | null => {
  if (text === undefined) return null;
  try {
    return parse(text);
  } catch {
    return null; // parsers throw INVALID_PARAMS and nothing else; a foreign label is not a fault
  }
};
