import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bundleAgent } from '../../../../zones/image/agent-bundle.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kerneld-bundle-'));
  writeFileSync(join(directory, 'other.ts'), 'export const word: string = "first";');
  writeFileSync(
    join(directory, 'entry.ts'),
    'import { word } from "./other.ts";\nimport "node:fs";\nconsole.log(word);',
  );
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const bundle = async (): Promise<string> =>
  (
    await bundleAgent({
      entry: 'entry.ts',
      projectDirectory: directory,
      cacheDirectory: join(directory, 'cache'),
      signal: AbortSignal.timeout(20_000),
    })
  ).toString();
const keptFile = (): string =>
  join(directory, 'cache', readdirSync(join(directory, 'cache')).find((name) => name.endsWith('.mjs')) ?? '');

describe('bundleAgent', () => {
  it('makes one file and keeps it while no source changes', async () => {
    const first = await bundle();
    expect(first).toContain('first');
    expect(first).not.toContain('other.ts');
    const before = statSync(keptFile()).mtimeMs;
    expect(await bundle()).toBe(first);
    expect(statSync(keptFile()).mtimeMs).toBe(before);
  });

  it('bundles again when an imported file changes', async () => {
    await bundle();
    writeFileSync(join(directory, 'other.ts'), 'export const word: string = "second";');
    expect(await bundle()).toContain('second');
  });

  it('does not trust a kept bundle that was altered', async () => {
    const first = await bundle();
    writeFileSync(keptFile(), 'evil()');
    expect(await bundle()).toBe(first);
  });

  it('bundles again when its list is damaged', async () => {
    const first = await bundle();
    for (const name of readdirSync(join(directory, 'cache')))
      if (name.endsWith('.json')) writeFileSync(join(directory, 'cache', name), '{"half":');
    expect(await bundle()).toBe(first);
  });

  it('says IMAGE_UNAVAILABLE for a source that does not parse', async () => {
    writeFileSync(join(directory, 'other.ts'), 'export const = ;');
    await expect(bundle()).rejects.toMatchObject({ code: 'IMAGE_UNAVAILABLE' });
  });
});
