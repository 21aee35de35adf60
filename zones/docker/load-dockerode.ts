/**
 * Loads dockerode without what it brings for engines elsewhere: ssh2 for `ssh://` hosts, gRPC for build sessions.
 * The kernel speaks only to a Unix socket (DESIGN section 1, idea 6); they would cost it 18 MB and 90 ms of each boot.
 */
import { createRequire, registerHooks } from 'node:module';
import type Docker from 'dockerode';

/** Whoever reaches for one of them finds an empty module, and fails with a TypeError that names what is missing. */
const LEFT_OUT: ReadonlySet<string> = new Set(['ssh2', '@grpc/grpc-js', '@grpc/proto-loader', 'protobufjs']);
const EMPTY = 'kerneld-left-out:';

let loaded: typeof Docker | null = null;

/** The class `Docker`. The substitution holds only while this loads; what others import is not touched. */
export const loadDockerode = (): typeof Docker => {
  if (loaded !== null) return loaded;
  const hooks = registerHooks({
    resolve: (specifier, context, next) =>
      LEFT_OUT.has(specifier)
        ? { url: `${EMPTY}${specifier}`, format: 'commonjs', shortCircuit: true }
        : next(specifier, context),
    load: (url, context, next) =>
      url.startsWith(EMPTY)
        ? { format: 'commonjs', source: 'module.exports = {};', shortCircuit: true }
        : next(url, context),
  });
  try {
    loaded = createRequire(import.meta.url)('dockerode') as typeof Docker;
    return loaded;
  } finally {
    hooks.deregister();
  }
};
