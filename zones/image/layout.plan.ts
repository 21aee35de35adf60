/** What the zone image holds, and the digest that names it. */

/** Raised when the layout below changes, which makes every image new. */
const LAYOUT_VERSION = 1;
export const IMAGE_REPOSITORY = 'kerneld-zone';
export const NODE_PATH = '/usr/bin/node';
export const AGENT_PATH = '/agent/agent.mjs';
export const PROBE_PATH = '/agent/probe.mjs';

export type ImageFile = {
  /** Absolute path in the image. */
  readonly path: string;
  readonly mode: number;
  readonly bytes: number;
  readonly sha256: string;
};
export type ImageDirectory = { readonly path: string; readonly mode: number };

/** Directories with modes of their own; parents of files are made 0755. */
const DIRECTORIES: readonly ImageDirectory[] = [
  // runc gives a tmpfs the mode of the directory it covers: without 1777 here /tmp is closed to the instance.
  { path: '/tmp', mode: 0o1777 },
  { path: '/module', mode: 0o755 },
  { path: '/run/kerneld', mode: 0o755 },
  // Mount points that the engine expects.
  { path: '/dev', mode: 0o755 },
  { path: '/etc', mode: 0o755 },
  { path: '/proc', mode: 0o555 },
  { path: '/sys', mode: 0o555 },
];

/** Every directory of the image, parents first. */
export const planDirectories = (files: readonly { readonly path: string }[]): readonly ImageDirectory[] => {
  const modes = new Map(DIRECTORIES.map(({ path, mode }) => [path, mode]));
  const paths = new Set<string>();
  for (const path of [...modes.keys(), ...files.map((file) => parentOf(file.path))]) {
    for (let at = path; at !== ''; at = parentOf(at)) paths.add(at);
  }
  return [...paths].sort().map((path) => ({ path, mode: modes.get(path) ?? 0o755 }));
};

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf('/'));

/** The text whose sha256 is the content digest: order and host paths do not matter, every byte and mode does. */
export const describeContent = (files: readonly ImageFile[]): string =>
  [
    `layout ${LAYOUT_VERSION}`,
    ...planDirectories(files).map(({ path, mode }) => `dir ${path} ${mode.toString(8)}`),
    ...files.map((file) => `file ${file.path} ${file.mode.toString(8)} ${file.sha256}`).sort(),
  ].join('\n');

/** `kerneld-zone:` and the first 16 hex digits of the content digest. */
export const imageTag = (contentSha256: string): string => `${IMAGE_REPOSITORY}:${contentSha256.slice(0, 16)}`;
