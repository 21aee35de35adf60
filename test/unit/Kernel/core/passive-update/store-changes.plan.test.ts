import { describe, expect, it } from 'vitest';
import { parseDigest, parseModuleName } from '../../../../../Kernel/contract/ids.ts';
import type { DurableStep } from '../../../../../Kernel/core/passive-update/durable-step.ts';
import { planInstall, planPut, planRemove } from '../../../../../Kernel/core/passive-update/store-changes.plan.ts';
import {
  layoutOf,
  readCurrentTarget,
  readSlotTarget,
  slotTarget,
} from '../../../../../Kernel/core/passive-update/store-layout.table.ts';
import { planSweep, type SweepFacts } from '../../../../../Kernel/core/passive-update/sweep.plan.ts';

const layout = layoutOf('/s');
const digest = parseDigest(`sha256:${'ab'.repeat(32)}`);
const name = parseModuleName('probe');
const show = (step: DurableStep): string => {
  if (step.do === 'rename') return `rename ${step.from} -> ${step.to}`;
  return step.do === 'makeLink' ? `link ${step.path} -> ${step.target}` : `${step.do} ${step.path}`;
};

describe('planPut', () => {
  const steps = planPut(
    layout,
    {
      digest,
      files: new Map([
        ['targets.json', Buffer.of(1)],
        ['a/b/c.mjs', Buffer.of(2)],
      ]),
    },
    { replace: false, nonce: 'n' },
  );

  it('syncs all content before the artifact appears by one rename', () => {
    expect(steps.map(show)).toEqual([
      'makeDirectory /s/store/.tmp/put-n',
      'makeDirectory /s/store/.tmp/put-n/a',
      'makeDirectory /s/store/.tmp/put-n/a/b',
      'writeFile /s/store/.tmp/put-n/targets.json',
      'writeFile /s/store/.tmp/put-n/a/b/c.mjs',
      'syncDirectory /s/store/.tmp/put-n/a/b',
      'syncDirectory /s/store/.tmp/put-n/a',
      'syncDirectory /s/store/.tmp/put-n',
      `rename /s/store/.tmp/put-n -> /s/store/${'ab'.repeat(32)}`,
      'syncDirectory /s/store',
    ]);
  });

  it('moves a damaged artifact away before, and takes it apart after', () => {
    const replaced = planPut(layout, { digest, files: new Map() }, { replace: true, nonce: 'n' }).map(show);
    expect(replaced.slice(2)).toEqual([
      `rename /s/store/${'ab'.repeat(32)} -> /s/store/.tmp/damaged-n`,
      `rename /s/store/.tmp/put-n -> /s/store/${'ab'.repeat(32)}`,
      'syncDirectory /s/store',
      'removeTree /s/store/.tmp/damaged-n',
    ]);
  });
});

describe('planInstall', () => {
  const slots = { active: { version: '1.0.0', digest }, fallback: { version: '0.9.0', digest }, next_stable: null };
  const record = {
    format: 1,
    module: name,
    generation: 4,
    zone: 'stable',
    version: '1.0.0',
    digest,
    slots,
    unsigned: true,
    installedAt: '',
    by: 'x',
    previous: 3,
  } as const;

  it('switches current by one rename after everything it leads to was synced', () => {
    expect(planInstall(layout, name, record, 'n').map(show)).toEqual([
      'makeDirectory /s/modules/probe',
      'syncDirectory /s/modules',
      'makeDirectory /s/modules/probe/generations',
      'syncDirectory /s/modules/probe',
      'makeDirectory /s/modules/probe/generations/.tmp-n',
      `link /s/modules/probe/generations/.tmp-n/active -> ../../../../store/${'ab'.repeat(32)}`,
      `link /s/modules/probe/generations/.tmp-n/fallback -> ../../../../store/${'ab'.repeat(32)}`,
      'writeFile /s/modules/probe/generations/.tmp-n/record.json',
      'syncDirectory /s/modules/probe/generations/.tmp-n',
      'rename /s/modules/probe/generations/.tmp-n -> /s/modules/probe/generations/4',
      'syncDirectory /s/modules/probe/generations',
      'link /s/modules/probe/.current-n -> generations/4',
      'rename /s/modules/probe/.current-n -> /s/modules/probe/current',
      'syncDirectory /s/modules/probe',
    ]);
  });
});

it('planRemove hides the module before it takes it apart', () => {
  expect(planRemove(layout, name, 'n').map(show)).toEqual([
    'rename /s/modules/probe -> /s/modules/.tmp/removed-n',
    'syncDirectory /s/modules',
    'removeTree /s/modules/.tmp/removed-n',
  ]);
});

describe('links', () => {
  it('are read back only in the form in which they are written', () => {
    expect(readSlotTarget(slotTarget(digest))).toBe(digest);
    for (const target of [
      '',
      '/store/x',
      `../../../store/${'ab'.repeat(32)}`,
      `../../../../store/${'AB'.repeat(32)}`,
      `../../../../store/${'ab'.repeat(32)}/x`,
    ]) {
      expect(readSlotTarget(target)).toBeNull();
    }
    expect(readCurrentTarget('generations/12')).toBe(12);
    for (const target of [
      '',
      'generations/0',
      'generations/01',
      'generations/1/../2',
      '/generations/1',
      'generations/-1',
      'generations/9999999999',
    ]) {
      expect(readCurrentTarget(target)).toBeNull();
    }
  });
});

describe('planSweep', () => {
  const sweep = (module: Omit<SweepFacts['modules'][number], 'directory'>): string[] =>
    planSweep(layout, { storeTemporary: [], modulesTemporary: [], modules: [{ directory: 'probe', ...module }] }).map(
      show,
    );

  it('removes what is temporary, and generations that never became current', () => {
    expect(
      planSweep(layout, { storeTemporary: ['put-1'], modulesTemporary: ['removed-2'], modules: [] }).map(show),
    ).toEqual(['removeTree /s/store/.tmp/put-1', 'removeTree /s/modules/.tmp/removed-2']);
    expect(
      sweep({
        entries: ['.current-n', 'current', 'generations'],
        generations: ['.tmp-n', '1', '2', '3', 'note'],
        current: 2,
      }),
    ).toEqual([
      'removeTree /s/modules/probe/.current-n',
      'removeTree /s/modules/probe/generations/.tmp-n',
      'removeTree /s/modules/probe/generations/3',
    ]);
  });

  it('removes a first install that was interrupted', () => {
    for (const generations of [[], ['.tmp-n'], ['1']]) {
      expect(sweep({ entries: ['generations'], generations, current: 'absent' })).toEqual([
        'removeTree /s/modules/probe',
      ]);
    }
    expect(sweep({ entries: [], generations: [], current: 'absent' })).toEqual(['removeTree /s/modules/probe']);
  });

  it('touches nothing where it cannot tell', () => {
    expect(sweep({ entries: ['current', 'generations'], generations: ['1', '.tmp-n'], current: 'damaged' })).toEqual(
      [],
    );
    expect(sweep({ entries: ['generations'], generations: ['1', '2'], current: 'absent' })).toEqual([]);
    expect(sweep({ entries: ['generations'], generations: ['3'], current: 'absent' })).toEqual([]);
    expect(sweep({ entries: ['generations', 'notes.txt'], generations: ['1'], current: 'absent' })).toEqual([]);
  });
});
