/**
 * A runtime other than runc is accepted only when an instance under it reaches the kernel and lies in its memory cgroup.
 * The runtimes here are runc in disguise: one honest, two that change the container behind the engine's back, as a
 * sandbox that is set up wrongly does.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { containersOf, fastConfig, startKernel } from '../support/kernel.ts';
import { startPrivateEngine, type PrivateEngine } from '../support/private-engine.ts';

/** runc, after a change to the bundle's config.json. */
const disguise = (edit: string): string => `#!/bin/sh
previous=
for word in "$@"; do
  if [ "$previous" = --bundle ]; then sed -i -E '${edit}' "$word/config.json"; fi
  previous=$word
done
exec runc "$@"
`;

let engine: PrivateEngine;
beforeAll(async () => {
  engine = await startPrivateEngine({
    liveRestore: true,
    runtimes: {
      honest: disguise(''),
      socketless: disguise('s#"destination":"/run/kerneld"#"destination":"/run/elsewhere"#'),
      uncounted: disguise('s#"cgroupsPath":"[^"]*"#"cgroupsPath":"/kerneld-test-elsewhere"#'),
    },
  });
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

const underRuntime = (runtime: string) =>
  startKernel({
    host: engine.host,
    config: fastConfig().replace(/sandbox: \{/, `sandbox: { runtime: ${runtime},`),
  });

describe('a runtime that kernel.yaml names', () => {
  it('is accepted when an instance reaches the kernel and is counted', async () => {
    await using kernel = await underRuntime('honest');
    expect((await kernel.status()).zones.map(({ state }) => state)).toEqual(['ready', 'ready']);
    await kernel.install({ name: 'one', code: 'export const f = () => 1;', functions: { f: {} } });
    expect(await kernel.call('one', 'f')).toBe(1);
  });

  it.each([
    ['socketless', 'did not reach the kernel', '--host-uds=open'],
    ['uncounted', 'memory cgroup', '--ignore-cgroups'],
  ])('%s is refused with what to change, and leaves nothing behind', async (runtime, why, remedy) => {
    await using kernel = await underRuntime(runtime);
    const { mode, zones } = await kernel.status();
    expect(mode).toBe('degraded');
    expect(zones.map(({ state }) => state)).toEqual(['ready', 'failed']);
    expect(zones[1]?.reason).toContain('ENGINE_UNSUITABLE');
    expect(zones[1]?.reason).toContain(why);
    expect(zones[1]?.reason).toContain(remedy);
    expect(await containersOf(kernel.homeId(), engine.host)).toEqual([]);
  });

  it('that the engine does not have is refused, and those it has are named', async () => {
    await using kernel = await underRuntime('nobodys');
    expect((await kernel.status()).zones[1]?.reason).toMatch(/no runtime nobodys; it has .*runc/);
  });
});
