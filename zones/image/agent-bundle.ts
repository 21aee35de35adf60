/**
 * Bundles a program of the zone image (the agent, the probe) into one ESM file.
 *
 * esbuild is loaded only when needed: beside the bundle, the cache keeps a fingerprint of every source that went
 * in, as esbuild's metafile lists them, and of the lock file that decides which packages those are. While all are
 * unchanged by stat, a boot reads the kept bundle (checked against its digest) and starts no esbuild.
 */
import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import { KernelError } from '../../Kernel/contract/errors.ts';
import { readCacheFile, writeCacheFile } from './cache-file.ts';
import { fingerprintFile, fingerprintSchema, isUnchanged, sha256Of } from './file-digests.ts';

/** Raised when the options below change, which voids kept bundles. */
const BUNDLE_FORMAT = 1;

const keptSchema = z.object({
  format: z.literal(BUNDLE_FORMAT),
  entry: z.string(),
  sha256: z.string(),
  inputs: z.array(fingerprintSchema),
});
type Kept = z.infer<typeof keptSchema>;

export type BundleOptions = {
  readonly entry: string;
  /** Directory that paths in the bundle are relative to, so that two clones make the same bytes. */
  readonly projectDirectory: string;
  readonly cacheDirectory: string;
  readonly signal: AbortSignal;
};

/** @throws KernelError `IMAGE_UNAVAILABLE` when the sources do not bundle */
export const bundleAgent = async (options: BundleOptions): Promise<Buffer> => {
  const entry = resolve(options.projectDirectory, options.entry);
  const name = basename(entry).replace(/\.[^.]+$/, '') + '-' + sha256Of(Buffer.from(entry)).slice(0, 8);
  const listPath = join(options.cacheDirectory, `bundle-${name}.json`);
  const bundlePath = join(options.cacheDirectory, `bundle-${name}.mjs`);
  const kept = await readCacheFile(listPath, keptSchema);
  if (kept !== null && kept.entry === entry) {
    const bundle = await readKept(kept, bundlePath);
    if (bundle !== null) return bundle;
  }
  const { bundle, inputs } = await build(entry, options.projectDirectory);
  const paths = [
    ...inputs,
    join(options.projectDirectory, 'package-lock.json'),
    join(options.projectDirectory, 'package.json'),
  ];
  const fingerprints = await Promise.all(paths.map((path) => fingerprintFile(path, [], options.signal).catch(missing)));
  await writeCacheFile(bundlePath, bundle);
  const list: Kept = {
    format: BUNDLE_FORMAT,
    entry,
    sha256: sha256Of(bundle),
    inputs: fingerprints.filter((one) => one !== null),
  };
  await writeCacheFile(listPath, JSON.stringify(list));
  return bundle;
};

const missing = (error: NodeJS.ErrnoException): null => {
  if (error.code === 'ENOENT') return null; // an installed package has no lock file
  throw error;
};

const readKept = async (kept: Kept, bundlePath: string): Promise<Buffer | null> => {
  const same = await Promise.all(kept.inputs.map(isUnchanged));
  if (same.includes(false)) return null;
  const bundle = await readFile(bundlePath).catch(missing);
  return bundle !== null && sha256Of(bundle) === kept.sha256 ? bundle : null;
};

const build = async (entry: string, projectDirectory: string) => {
  try {
    const { build: bundle } = await import('esbuild');
    const result = await bundle({
      entryPoints: [entry],
      absWorkingDir: projectDirectory,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node26',
      write: false,
      metafile: true,
      logLevel: 'silent',
      sourcemap: false,
      minifySyntax: true,
      minifyWhitespace: true, // names stay, so that an error in the agent can be read
      keepNames: true,
      legalComments: 'inline',
      // CommonJS packages inside the bundle (ws) ask for node built-ins through require.
      banner: {
        js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire('file:///agent/');",
      },
      // ws's optional native speed-ups: they would need files that the image does not have.
      external: ['bufferutil', 'utf-8-validate'],
    });
    const output = result.outputFiles[0];
    if (output === undefined) throw new Error('esbuild gave no file');
    return {
      bundle: Buffer.from(output.contents),
      inputs: Object.keys(result.metafile.inputs).map((path) => resolve(projectDirectory, path)),
    };
  } catch (cause) {
    throw new KernelError('IMAGE_UNAVAILABLE', `${entry} could not be bundled for the zone image`, {
      cause,
      remedy: 'run npm ci, then start again',
    });
  }
};
