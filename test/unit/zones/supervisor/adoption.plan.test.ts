import { describe, expect, it } from 'vitest';
import type { ContainerId, HomeId, InstanceId, ZoneName } from '../../../../Kernel/contract/ids.ts';
import type { ContainerFacts } from '../../../../Kernel/contract/ports.ts';
import type { InstanceRecord } from '../../../../zones/instance/instance-record.ts';
import { planAdoption, type OpenPlace } from '../../../../zones/supervisor/adoption.plan.ts';

const id = (n: number): InstanceId => `i-${n.toString(16).padStart(12, '0')}` as InstanceId;

const place: OpenPlace = {
  module: 'greeter',
  index: 0,
  digest: 'd',
  generation: 3,
  configDigest: 'c',
  specDigest: 's',
};

const containerOf = (n: number, more: Partial<ContainerFacts> = {}): ContainerFacts => ({
  container: `c${n}` as ContainerId,
  home: 'aaaaaaaaaaaa' as HomeId,
  zone: 'stable',
  instance: id(n),
  specDigest: 's',
  uid: 210_000 + n,
  sizeClass: '64MiB',
  state: 'running',
  pid: 100 + n,
  startedAt: '2026-01-01T00:00:00Z',
  exit: null,
  ...more,
});

const recordOf = (n: number, more: Partial<InstanceRecord> = {}): InstanceRecord => ({
  instance: id(n),
  state: 'assigned',
  zone: 'stable',
  module: 'greeter',
  index: 0,
  version: '1.0.0',
  digest: 'd',
  generation: 3,
  specDigest: 's',
  configDigest: 'c',
  uid: 210_000 + n,
  restarts: 2,
  ...more,
});

const plan = (input: {
  zone?: ZoneName;
  containers: ContainerFacts[];
  records?: InstanceRecord[];
  known?: InstanceId[];
  places?: OpenPlace[];
}) =>
  planAdoption({
    zone: input.zone ?? 'stable',
    containers: input.containers,
    known: new Set(input.known ?? []),
    places: input.places ?? [place],
    records: new Map((input.records ?? []).map((record) => [record.instance, record])),
  }).map((action) =>
    action.kind === 'adopt' ? `adopt ${action.facts.container}` : `remove ${action.facts.container}: ${action.reason}`,
  );

describe('planAdoption', () => {
  it('adopts a running container whose complete record fits a wanted place', () => {
    expect(plan({ containers: [containerOf(1)], records: [recordOf(1)] })).toEqual(['adopt c1']);
  });

  it.each<[string, Partial<ContainerFacts>, Partial<InstanceRecord> | null, OpenPlace[], string]>([
    ['ended', { state: 'exited' }, {}, [place], 'it is exited'],
    ['never started', { state: 'created' }, {}, [place], 'it is created'],
    ['paused', { state: 'paused' }, {}, [place], 'it is paused'],
    ['without a record', {}, null, [place], 'it has no record'],
    ['still being assigned', {}, { state: 'assigning' }, [place], 'its module was still being sent'],
    ['whose record is for another uid', {}, { uid: 1 }, [place], 'its labels do not fit its record'],
    ['whose record is for another zone', {}, { zone: 'sandbox' }, [place], 'its labels do not fit its record'],
    ['of a module that is not wanted', {}, { module: 'removed' }, [place], 'nothing that is wanted fits it'],
    ['of a place that is not wanted any more', {}, { index: 1 }, [place], 'nothing that is wanted fits it'],
    ['when nothing is wanted', {}, {}, [], 'nothing that is wanted fits it'],
    ['of another digest', {}, { digest: 'old' }, [place], 'another version is wanted'],
    ['of another generation', {}, { generation: 2 }, [place], 'another version is wanted'],
    ['with other configuration values', {}, { configDigest: 'old' }, [place], 'its configuration values changed'],
    ['with another specification in its record', {}, { specDigest: 'old' }, [place], 'its specification changed'],
    [
      'with another specification in its label, whatever its record says',
      { specDigest: 'old' },
      {},
      [place],
      'its specification changed',
    ],
    ['without a specification label', { specDigest: null }, {}, [place], 'its specification changed'],
  ])('removes a container %s', (_what, facts, record, places, reason) => {
    const records = record === null ? [] : [recordOf(1, record)];
    expect(plan({ containers: [containerOf(1, facts)], records, places })).toEqual([`remove c1: ${reason}`]);
  });

  it('removes a container without an instance label, and one without a zone, in any zone', () => {
    expect(plan({ containers: [containerOf(1, { instance: null })], records: [recordOf(1)] })).toEqual([
      'remove c1: it has no record',
    ]);
    for (const zone of ['stable', 'sandbox'] as const) {
      expect(plan({ zone, containers: [containerOf(1, { zone: null, instance: null })] })).toEqual([
        'remove c1: it has no record',
      ]);
    }
  });

  it('leaves alone what the kernel holds, and what is of the other zone', () => {
    expect(plan({ containers: [containerOf(1, { state: 'exited' })], known: [id(1)] })).toEqual([]);
    expect(plan({ containers: [containerOf(1, { zone: 'sandbox' })] })).toEqual([]);
  });

  it('adopts one of two containers for the same place and removes the other', () => {
    expect(plan({ containers: [containerOf(1), containerOf(2)], records: [recordOf(1), recordOf(2)] })).toEqual([
      'adopt c1',
      'remove c2: nothing that is wanted fits it',
    ]);
  });

  it('fills each place of a module with its own container', () => {
    const places = [place, { ...place, index: 1 }];
    const records = [recordOf(1, { index: 1 }), recordOf(2, { index: 0 })];
    expect(plan({ containers: [containerOf(1), containerOf(2)], records, places })).toEqual(['adopt c1', 'adopt c2']);
  });

  it('does nothing twice: what was adopted is known afterwards', () => {
    expect(plan({ containers: [containerOf(1)], records: [recordOf(1)], known: [id(1)], places: [] })).toEqual([]);
  });
});
