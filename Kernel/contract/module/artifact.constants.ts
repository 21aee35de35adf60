/** Names inside an artifact; apart from the schema, because the agent needs them and not zod. */

/** TUF targets metadata: names the length and hash of every other file. */
export const TARGETS_FILE = 'targets.json';
export const MANIFEST_FILE = 'module.yaml';
