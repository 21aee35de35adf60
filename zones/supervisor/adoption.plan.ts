/**
 * What to do with each container of this home that the engine has and this kernel does not hold: adopt it or
 * remove it. Level-triggered: the same plan serves the first look after a start and every later sweep.
 */
import type { InstanceId, ZoneName } from '../../Kernel/contract/ids.ts';
import type { ContainerFacts } from '../../Kernel/contract/ports.ts';
import type { InstanceRecord } from '../instance/instance-record.ts';

/** A place that may be filled: present only while no instance was ever started in it. */
export type OpenPlace = {
  readonly module: string;
  readonly index: number;
  readonly digest: string;
  readonly generation: number;
  readonly configDigest: string;
  readonly specDigest: string;
};

export type AdoptionAction =
  | { readonly kind: 'adopt'; readonly facts: ContainerFacts; readonly record: InstanceRecord }
  | { readonly kind: 'remove'; readonly facts: ContainerFacts; readonly reason: string };

/** Why a container is not adopted; null: it is. */
const obstacle = (
  facts: ContainerFacts,
  record: InstanceRecord | undefined,
  place: OpenPlace | undefined,
): string | null => {
  if (facts.state !== 'running') return `it is ${facts.state}`;
  if (record === undefined) return 'it has no record';
  if (record.state === 'assigning') return 'its module was still being sent';
  if (record.uid !== facts.uid || record.zone !== facts.zone) return 'its labels do not fit its record';
  if (place === undefined) return 'nothing that is wanted fits it';
  if (record.digest !== place.digest || record.generation !== place.generation) return 'another version is wanted';
  if (record.configDigest !== place.configDigest) return 'its configuration values changed';
  if (record.specDigest !== place.specDigest || facts.specDigest !== place.specDigest)
    return 'its specification changed';
  return null;
};

/** Plans for one zone. `known` are ids that this kernel holds; they are left alone. */
export const planAdoption = (input: {
  readonly zone: ZoneName;
  readonly containers: readonly ContainerFacts[];
  readonly records: ReadonlyMap<InstanceId, InstanceRecord>;
  readonly known: ReadonlySet<InstanceId>;
  readonly places: readonly OpenPlace[];
}): readonly AdoptionAction[] => {
  const open = new Map(input.places.map((place) => [`${place.module}/${place.index}`, place]));
  const actions: AdoptionAction[] = [];
  for (const facts of input.containers) {
    if (facts.zone !== input.zone && facts.zone !== null) continue;
    if (facts.instance !== null && input.known.has(facts.instance)) continue;
    const record = facts.instance === null ? undefined : input.records.get(facts.instance);
    const key = `${record?.module}/${record?.index}`;
    const reason = obstacle(facts, record, open.get(key));
    if (reason === null && record !== undefined) {
      actions.push({ kind: 'adopt', facts, record });
      // Two containers for one place: the second finds nothing that fits.
      open.delete(key);
    } else {
      actions.push({ kind: 'remove', facts, reason: reason ?? 'it has no record' });
    }
  }
  return actions;
};
