/** Removal against an install that comes in between, over a real store; the zones are played by the test. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KernelError } from '../../../../Kernel/contract/errors.ts';
import type { Clock, Log } from '../../../../Kernel/contract/ports.ts';
import { createModuleRegistry } from '../../../../daemon/handlers/module-registry.ts';
import { openStore } from '../../../../daemon/modules/store.ts';
import type { Supervisor } from '../../../../zones/supervisor/supervisor.ts';
import { HEADER, valid } from '../../config/config-support.ts';
import { ENTRY, gzip, MANIFEST, metadataOf, rawTar } from '../modules/raw-archive.ts';

const silent: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  critical: () => {},
  child: () => silent,
};
const FILES = { 'module.yaml': MANIFEST, 'index.mjs': ENTRY };
const ARTIFACT = gzip(
  rawTar([
    { path: 'targets.json', content: metadataOf(FILES, MANIFEST) },
    ...Object.entries(FILES).map(([path, content]) => ({ path, content })),
  ]),
);
const never = new AbortController().signal;

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kerneld-registry-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A kernel with the module installed, whose instance ends when the test says so. */
const setUp = async () => {
  const stopped = Promise.withResolvers<void>();
  const told: string[] = [];
  const removedLogs: string[] = [];
  const waiting = Promise.withResolvers<void>();
  const zone = {
    moduleStopped: () => {
      waiting.resolve();
      return stopped.promise;
    },
  };
  const registry = createModuleRegistry({
    store: openStore({ root, clock: { wallMs: () => 1_700_000_000_000 }, log: silent }),
    supervisor: {
      zones: new Map([['sandbox', zone]]),
      find: () => null,
      setDesired: () => {},
      settled: async () => {},
    } as unknown as Supervisor,
    config: () => valid(HEADER).config,
    clock: {} as Clock,
    report: ({ kind }) => told.push(kind),
    onRemoved: async (name) => {
      removedLogs.push(name);
      told.push('log taken');
    },
  });
  const install = () => registry.install(Buffer.from(ARTIFACT), 'sandbox', 'operator', never);
  await install();
  return { registry, install, told, removedLogs, waiting: waiting.promise, stop: () => stopped.resolve() };
};
const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: unknown) => error,
  );

describe('removing a module', () => {
  it('takes its log once its instances are gone, and tells it then', async () => {
    const { registry, told, removedLogs, waiting, stop } = await setUp();
    const removing = registry.remove('probe', never);
    await waiting;
    expect(removedLogs).toEqual([]);
    expect(told).toEqual(['module.installed']);
    stop();
    expect(await removing).toBe(true);
    expect(removedLogs).toEqual(['probe']);
    expect(told).toEqual(['module.installed', 'log taken', 'module.removed']);
  });

  it('that is installed again meanwhile ends at once with CONFLICT and keeps the log', async () => {
    const { registry, install, told, removedLogs, waiting, stop } = await setUp();
    const removing = failureOf(registry.remove('probe', never));
    await waiting;
    await install();
    // The old instance never counts as stopped: its unit starts anew.
    expect(await removing).toMatchObject({ code: 'CONFLICT', message: expect.stringContaining('installed again') });
    stop();
    expect(registry.list().map(({ name }) => name)).toEqual(['probe']);
    expect(removedLogs).toEqual([]);
    expect(told).toEqual(['module.installed', 'module.installed']);
  });

  it('that is installed again as its last instance ends keeps the log too', async () => {
    const { registry, install, told, waiting, stop } = await setUp();
    const removing = failureOf(registry.remove('probe', never));
    await waiting;
    const installing = install();
    // What was read of the artifact is now waiting its turn, before the end of the removal.
    await new Promise((resolve) => setTimeout(resolve, 1));
    stop();
    await installing;
    await removing;
    // Either order is right, as long as nothing is taken away after the module came back.
    expect(told.at(-1)).toBe('module.installed');
  });

  it('is not waited for beyond the signal, and is still finished', async () => {
    const { registry, told, removedLogs, waiting, stop } = await setUp();
    const ending = new AbortController();
    const removing = failureOf(registry.remove('probe', ending.signal));
    await waiting;
    ending.abort(new KernelError('CANCELLED', 'withdrawn'));
    expect(await removing).toMatchObject({ code: 'CANCELLED' });
    expect(told).toEqual(['module.installed']);
    stop();
    await expect.poll(() => told).toEqual(['module.installed', 'log taken', 'module.removed']);
    expect(removedLogs).toEqual(['probe']);
  });

  it('that is not installed is MODULE_NOT_FOUND', async () => {
    const { registry } = await setUp();
    await expect(registry.remove('other', never)).rejects.toMatchObject({ code: 'MODULE_NOT_FOUND' });
  });
});
