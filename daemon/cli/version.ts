import { existsSync, readFileSync } from 'node:fs';

/** The version in package.json: two directories up in the sources, three in a build. */
export const readVersion = (): string => {
  const file = ['../../package.json', '../../../package.json']
    .map((path) => new URL(path, import.meta.url))
    .find((url) => existsSync(url));
  if (file === undefined) return 'unknown';
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { readonly version?: unknown };
  return typeof version === 'string' ? version : 'unknown';
};
