/** Builds archives by hand, right and wrong ones. */
import { gzipSync } from 'node:zlib';
import { canonicalJson } from '../../../../Kernel/contract/module/canonical-json.ts';
import { parseManifestYaml } from '../../../../Kernel/contract/module/manifest.parse.ts';
import { makeTargets } from '../../../../daemon/modules/targets.ts';

export const MANIFEST = 'apiVersion: kerneld/v1\nname: probe\nversion: 1.2.3\nentry: index.mjs\n';
export const ENTRY = 'export const hello = () => ({});\n';

export type RawEntry = {
  readonly path: string;
  readonly content?: string | Buffer;
  readonly type?: string;
  readonly link?: string;
  readonly prefix?: string;
  /** Changes the header before its checksum is made. */
  readonly tamper?: (header: Buffer) => void;
};

export const rawHeader = ({ path, content = '', type = '0', link = '', prefix = '', tamper }: RawEntry): Buffer => {
  const header = Buffer.alloc(512);
  header.write(path, 0, 100, 'utf8');
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${Buffer.byteLength(content).toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write(type, 156);
  header.write(link, 157);
  header.write('ustar\u000000', 257);
  header.write('0000000\0', 329);
  header.write('0000000\0', 337);
  header.write(prefix, 345);
  tamper?.(header);
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
};

export const rawTar = (entries: readonly RawEntry[]): Buffer =>
  Buffer.concat([
    ...entries.flatMap((entry) => {
      const content = Buffer.from(entry.content ?? '');
      return [rawHeader(entry), content, Buffer.alloc((512 - (content.length % 512)) % 512)];
    }),
    Buffer.alloc(1024),
  ]);

export const gzip = (tar: Buffer): Buffer => gzipSync(tar);

/** Metadata that is right for these files. */
export const metadataOf = (files: Readonly<Record<string, string | Buffer>>, manifest = MANIFEST): string =>
  canonicalJson(
    makeTargets(
      parseManifestYaml(manifest),
      new Map(Object.entries(files).map(([path, text]) => [path, Buffer.from(text)])),
    ),
  );

export const RIGHT_FILES = { 'module.yaml': MANIFEST, 'index.mjs': ENTRY } as const;

/** The entries of an archive that is right. */
export const rightEntries = (files: Readonly<Record<string, string | Buffer>> = RIGHT_FILES): RawEntry[] => [
  { path: 'targets.json', content: metadataOf(files) },
  ...Object.entries(files).map(([path, content]) => ({ path, content })),
];
