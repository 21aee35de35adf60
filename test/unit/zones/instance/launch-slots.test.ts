import { describe, expect, it } from 'vitest';
import { createLaunchSlots } from '../../../../zones/instance/launch-slots.ts';

const never = new AbortController().signal;
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('launch slots', () => {
  it('let so many in and no more, the others in the order in which they came', async () => {
    const slots = createLaunchSlots(2);
    const granted: number[] = [];
    const releases: (() => void)[] = [];
    for (let index = 0; index < 5; index += 1) {
      void slots.acquire(never).then((release) => {
        granted.push(index);
        releases.push(release);
      });
    }
    await settle();
    expect(granted).toEqual([0, 1]);
    releases[1]!();
    await settle();
    expect(granted).toEqual([0, 1, 2]);
    releases[0]!();
    releases[2]!();
    await settle();
    expect(granted).toEqual([0, 1, 2, 3, 4]);
  });

  it('take a slot back once only, however often it is given', async () => {
    const slots = createLaunchSlots(1);
    const release = await slots.acquire(never);
    release();
    release();
    const granted: string[] = [];
    void slots.acquire(never).then(() => granted.push('first'));
    void slots.acquire(never).then(() => granted.push('second'));
    await settle();
    expect(granted).toEqual(['first']);
  });

  it('forget who gave up waiting, and pass the slot on', async () => {
    const slots = createLaunchSlots(1);
    const release = await slots.acquire(never);
    const impatient = new AbortController();
    const gaveUp = slots.acquire(impatient.signal);
    const patient = slots.acquire(never);
    impatient.abort();
    await expect(gaveUp).rejects.toMatchObject({ code: 'CANCELLED' });
    release();
    await expect(patient).resolves.toBeTypeOf('function');
    await expect(slots.acquire(impatient.signal)).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});
