import { cp, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { initModule } from '../../../../daemon/modules/init.ts';
import { packModule } from '../../../../daemon/modules/pack.ts';
import { readArtifact } from '../../../../daemon/modules/unpack.ts';

const manifest = (entry: string): string =>
  `apiVersion: kerneld/v1\nname: probe\nversion: 1.0.0\nentry: ${entry} # the way in\nfunctions: { hello: {} }\n`;
let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kerneld-pack-'));
});
afterEach(async () => rm(root, { recursive: true, force: true }));

const write = async (files: Readonly<Record<string, string>>, below = 'm'): Promise<string> => {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, below, path)), { recursive: true });
    await writeFile(join(root, below, path), text);
  }
  return join(root, below);
};

/** Runs what was packed, as an instance would. */
const run = async (bytes: Buffer): Promise<Record<string, (...args: unknown[]) => unknown>> => {
  const {
    manifest: { entry },
    files,
  } = await readArtifact(bytes);
  const file = join(root, `run-${Math.random()}.mjs`);
  await writeFile(file, files.get(entry) ?? '');
  return (await import(/* @vite-ignore */ pathToFileURL(file).href)) as Record<string, (...args: unknown[]) => unknown>;
};

describe('packModule', () => {
  it('packs TypeScript with its types stripped, names the bundle in module.yaml and leaves its comments', async () => {
    const directory = await write({
      'module.yaml': manifest('src/index.ts'),
      'src/index.ts':
        'import { greet } from "./greet.ts";\ntype P = { name: string };\nexport const hello = ({ name }: P): unknown => greet(name);\n',
      'src/greet.ts': 'export const greet = (name: string) => ({ greeting: `Hi ${name}` });\n',
    });
    const { bytes, manifest: packed } = await packModule(directory);
    expect(packed.entry).toBe('src/index.mjs');
    const { files } = await readArtifact(bytes);
    expect(files.get('module.yaml')?.toString()).toBe(manifest('src/index.mjs'));
    expect((await run(bytes))['hello']?.({ name: 'Ada' })).toEqual({ greeting: 'Hi Ada' });
  });

  it('bundles npm dependencies, CommonJS ones that require built-ins among them, and JSON', async () => {
    const directory = await write({
      'module.yaml': manifest('index.js'),
      'index.js':
        'import dep from "dep"; import esm from "esm-dep"; import { readFileSync } from "node:fs"; import data from "./data.json" with { type: "json" };\nexport const hello = () => [dep.sep, esm, typeof readFileSync, data.x];\n',
      'data.json': '{"x": 7}',
      'node_modules/dep/package.json': '{"name":"dep","main":"main.js"}',
      'node_modules/dep/main.js': 'const path = require("path"); module.exports = { sep: path.sep };',
      'node_modules/esm-dep/package.json': '{"name":"esm-dep","type":"module","exports":"./i.js"}',
      'node_modules/esm-dep/i.js':
        'import { createRequire } from "node:module";\nconst require = createRequire(import.meta.url);\nexport default typeof require("node:os").EOL;',
    });
    expect((await run((await packModule(directory)).bytes))['hello']?.()).toEqual(['/', 'string', 'function', 7]);
  });

  it('gives the same bytes for the same input, wherever and whenever it lies', async () => {
    await initModule(join(root, 'one'), 'same');
    await cp(join(root, 'one'), join(root, 'deeper/two'), { recursive: true });
    await utimes(join(root, 'deeper/two/index.mjs'), 1, 1);
    // Settings above the module are none of its own.
    await writeFile(join(root, 'deeper/tsconfig.json'), '{"compilerOptions":{"target":"es5"}}');
    const [one, two] = [await packModule(join(root, 'one')), await packModule(join(root, 'deeper/two'))];
    expect(two.digest).toBe(one.digest);
    expect(two.bytes.equals(one.bytes)).toBe(true);
    await writeFile(join(root, 'one/index.mjs'), 'export const hello = 1, health = 2;');
    expect((await packModule(join(root, 'one'))).digest).not.toBe(one.digest);
  });

  it('tells where a source is wrong', async () => {
    const directory = await write({
      'module.yaml': manifest('index.ts'),
      'index.ts': 'export const a = 1;\nconst = 2;\n',
    });
    await expect(packModule(directory)).rejects.toMatchObject({
      code: 'MODULE_INVALID',
      context: { issues: [expect.objectContaining({ file: 'index.ts', line: 2, column: 7 })] },
    });
    await write({ 'index.ts': 'import "nowhere";\n' });
    await expect(packModule(directory)).rejects.toMatchObject({
      code: 'MODULE_INVALID',
      message: expect.stringContaining('nowhere') as unknown,
    });
    await rm(join(directory, 'index.ts'));
    await expect(packModule(directory)).rejects.toMatchObject({ code: 'MODULE_INVALID' });
    await expect(packModule(join(root, 'missing'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it.each([
    ['a .node file', { 'index.mjs': 'import "./addon.node";', 'addon.node': 'x' }],
    [
      'a loader of addons',
      {
        'index.mjs': 'import "native";',
        'node_modules/native/index.js': 'module.exports = require("bindings")("native");',
      },
    ],
  ])('refuses %s', async (_what, files) => {
    const directory = await write({ 'module.yaml': manifest('index.mjs'), ...files });
    await expect(packModule(directory)).rejects.toMatchObject({
      code: 'MODULE_INVALID',
      message: expect.stringContaining('native addons cannot run') as unknown,
    });
  });

  it('refuses to pack data from outside of the module, also through a link', async () => {
    await write({ 'secret.json': '{"key":1}', 'shared.mjs': 'export default 1;' }, 'elsewhere');
    const directory = await write({
      'module.yaml': manifest('index.mjs'),
      'index.mjs': 'export { default } from "../elsewhere/secret.json";',
    });
    await expect(packModule(directory)).rejects.toMatchObject({
      code: 'MODULE_INVALID',
      message: expect.stringContaining('outside') as unknown,
    });
    await symlink(join(root, 'elsewhere/secret.json'), join(directory, 'data.json'));
    await write({ 'index.mjs': 'export { default } from "./data.json";' });
    await expect(packModule(directory)).rejects.toMatchObject({ code: 'MODULE_INVALID' });
    await write({ 'index.mjs': 'export { default as hello } from "../elsewhere/shared.mjs";' });
    expect((await run((await packModule(directory)).bytes))['hello']).toBe(1);
  });
});

describe('initModule', () => {
  it('writes a module that packs, and the sample greets Ada', async () => {
    const made = await initModule(join(root, 'hallo'));
    expect(made.name).toBe('hallo');
    const { manifest: own } = await packModule(join(root, 'hallo'));
    expect(own.name).toBe('hallo');
    const sample = await packModule(new URL('../../../../config/modules/greeter', import.meta.url).pathname);
    const { hello, health } = await run(sample.bytes);
    expect(JSON.stringify(await hello?.({ name: 'Ada' }, { config: {} }))).toBe('{"greeting":"Hello, Ada"}');
    expect(await hello?.({ name: 'Ada' }, { config: { salutation: 'Moin' } })).toEqual({ greeting: 'Moin, Ada' });
    expect(await health?.({}, {})).toEqual({ ok: true });
  });

  it('refuses a directory with something in it and a name that is none', async () => {
    await write({ 'mine.txt': 'x' });
    await expect(initModule(join(root, 'm'), 'a')).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(initModule(join(root, 'Not A Name'))).rejects.toMatchObject({ code: 'INVALID_PARAMS' });
    await expect(initModule(join(root, 'x'), '../evil')).rejects.toMatchObject({ code: 'INVALID_PARAMS' });
  });
});
