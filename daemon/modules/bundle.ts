/** Bundles the entry of a module and its npm dependencies into one ES module. Runs none of their code. */
import { realpath } from 'node:fs/promises';
import { dirname, extname, isAbsolute, join, relative, sep } from 'node:path';
import { context, type BuildFailure, type BuildResult, type Message, type Metafile, type Plugin } from 'esbuild';
import { KernelError } from '../../Kernel/contract/errors.ts';

const BUNDLE_TIMEOUT_MS = 60_000;
const CODE = new Set(['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts', '.jsx', '.tsx']);
const ADDON_LOADERS = /^(?:bindings|node-gyp-build|node-gyp-build-optional-packages|@mapbox\/node-pre-gyp)$/;
const ADDON_REFUSAL =
  'native addons cannot run in a zone: the program that Node loads would not be the one that was checked';

/** Gives bundled CommonJS a `require` for node's built-in modules; set only when some of it asks for one. */
const REQUIRE_PREAMBLE =
  'import { createRequire as kerneldCreateRequire } from "node:module";\nglobalThis.require ??= kerneldCreateRequire(import.meta.url);\n';

const refuseAddons: Plugin = {
  name: 'refuse-native-addons',
  setup: (build) => {
    build.onResolve({ filter: /\.node$/ }, ({ path }) => ({ errors: [{ text: `${ADDON_REFUSAL} (${path})` }] }));
    build.onResolve({ filter: ADDON_LOADERS }, ({ path }) => ({ errors: [{ text: `${ADDON_REFUSAL} (${path})` }] }));
  },
};

type SourceIssue = {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly path: string;
  readonly message: string;
  readonly expected: string;
};

const toIssue = ({ text, location, notes }: Message): SourceIssue => ({
  file: location?.file ?? '',
  line: location?.line ?? 1,
  // esbuild counts columns from 0.
  column: (location?.column ?? 0) + 1,
  path: '',
  message: text,
  expected: notes[0]?.text ?? 'code that can be bundled',
});

const refuse = (issues: readonly SourceIssue[], cause?: unknown): never => {
  const [first] = issues;
  const place = first === undefined || first.file === '' ? '' : `${first.file}:${first.line}:${first.column}: `;
  throw new KernelError('MODULE_INVALID', `${place}${first?.message ?? 'the module cannot be bundled'}`, {
    cause,
    context: { issues },
  });
};

/**
 * Returns the bundle: ES module for Node 26, built-ins left as imports.
 *
 * @param directory the real path of the module
 * @throws KernelError `MODULE_INVALID` with `context.issues` (file, line, column), `DEADLINE_EXCEEDED`
 */
export const bundleEntry = async (directory: string, entry: string): Promise<Uint8Array> => {
  const result = await build(directory, entry);
  await refuseForeignData(directory, result.metafile);
  const code = result.outputFiles[0]?.contents;
  if (code === undefined || result.outputFiles.length !== 1) {
    return refuse([
      {
        file: entry,
        line: 1,
        column: 1,
        path: '',
        message: 'the bundle is not one file',
        expected: 'only code and JSON as imports',
      },
    ]);
  }
  const needsRequire = Object.values(result.metafile.outputs).some(({ imports }) =>
    imports.some(({ kind, external }) => external === true && (kind === 'require-call' || kind === 'require-resolve')),
  );
  return needsRequire ? Buffer.concat([Buffer.from(REQUIRE_PREAMBLE), code]) : code;
};

type Bundle = BuildResult<{ metafile: true; write: false }>;

const build = async (directory: string, entry: string): Promise<Bundle> => {
  const session = await context({
    absWorkingDir: directory,
    entryPoints: [`./${entry}`],
    outfile: 'bundle.mjs',
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'node',
    target: 'node26',
    charset: 'utf8',
    legalComments: 'inline',
    logLevel: 'silent',
    // The settings of a directory above the module would change the digest of the same module.
    tsconfigRaw: {},
    plugins: [refuseAddons],
  });
  const deadline = AbortSignal.timeout(BUNDLE_TIMEOUT_MS);
  const cancel = (): void => void session.cancel();
  deadline.addEventListener('abort', cancel, { once: true });
  try {
    const result = await session.rebuild();
    deadline.throwIfAborted();
    return result;
  } catch (cause) {
    if (deadline.aborted) throw new KernelError('DEADLINE_EXCEEDED', 'bundling took longer than 60s', { cause });
    const failure = cause as Partial<BuildFailure>;
    if (failure.errors === undefined) throw cause;
    return refuse(failure.errors.slice(0, 20).map(toIssue), cause);
  } finally {
    deadline.removeEventListener('abort', cancel);
    await session.dispose();
  }
};

/**
 * Code may come from anywhere the module imports it (workspaces do), but data only from the module and its
 * dependencies: a hostile directory must not pack `import keys from "/root/.docker/config.json"`.
 */
const refuseForeignData = async (directory: string, { inputs }: Metafile): Promise<void> => {
  for (const input of Object.keys(inputs)) {
    if (input.startsWith('<') || input.startsWith('(disabled)')) continue;
    const file = await realpath(isAbsolute(input) ? input : join(directory, input));
    const inside = isBelow(directory, file) || isBelow(dependencyRoot(directory, file), file);
    if (inside || CODE.has(extname(file))) continue;
    refuse([
      {
        file: input,
        line: 1,
        column: 1,
        path: '',
        message: `${input} lies outside of the module`,
        expected: 'data below the directory of the module',
      },
    ]);
  }
};

const isBelow = (root: string | null, file: string): boolean => {
  if (root === null) return false;
  const path = relative(root, file);
  return path !== '' && !path.startsWith('..') && !isAbsolute(path);
};

/** The `node_modules` of the module or of a directory above it that the file lies in. */
const dependencyRoot = (directory: string, file: string): string | null => {
  for (let root = directory; ; root = dirname(root)) {
    const candidate = join(root, 'node_modules');
    if (file.startsWith(candidate + sep)) return candidate;
    if (dirname(root) === root) return null;
  }
};
