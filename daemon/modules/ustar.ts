/**
 * The plain subset of tar (POSIX.1-1988 ustar) that artifacts use: regular files and nothing else.
 *
 * Reading is strict on purpose: each header must be, byte for byte, the one that writing makes for that
 * name and size. Links, devices, sparse files, pax and GNU extensions and every field on which two readers
 * could disagree fall away with that one comparison.
 */
import { KernelError } from '../../Kernel/contract/errors.ts';
import { ARTIFACT_LIMITS } from '../../Kernel/contract/module/artifact.schema.ts';

const BLOCK_BYTES = 512;
const END_BLOCKS = 2;
const TYPE_NAMES: Readonly<Record<string, string>> = {
  '1': 'a hard link',
  '2': 'a symbolic link',
  '3': 'a character device',
  '4': 'a block device',
  '5': 'a directory',
  '6': 'a FIFO',
  x: 'a pax header',
  g: 'a global pax header',
  L: 'a GNU long name',
  K: 'a GNU long link',
  S: 'a sparse file',
};

export type TarFile = { readonly path: string; readonly content: Uint8Array };

/** Where a path is cut into the fields `prefix` (155 bytes) and `name` (100 bytes); null when it has no room. */
const splitPath = (path: string): { readonly prefix: string; readonly name: string } | null => {
  if (path.length <= 100) return { prefix: '', name: path };
  for (let cut = path.indexOf('/'); cut !== -1; cut = path.indexOf('/', cut + 1)) {
    const name = path.slice(cut + 1);
    if (cut <= 155 && name.length <= 100 && name.length > 0) return { prefix: path.slice(0, cut), name };
  }
  return null;
};

const writeHeader = (path: string, bytes: number): Buffer | null => {
  const split = splitPath(path);
  if (split === null) return null;
  const header = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, offset: number, digits: number): void => {
    header.write(`${value.toString(8).padStart(digits, '0')}\0`, offset, 'latin1');
  };
  header.write(split.name, 0, 'latin1');
  octal(0o644, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(bytes, 124, 11);
  octal(0, 136, 11);
  header.write('0', 156, 'latin1');
  header.write('ustar\u000000', 257, 'latin1');
  octal(0, 329, 7);
  octal(0, 337, 7);
  header.write(split.prefix, 345, 'latin1');
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
};

/**
 * Writes files, in the order given, as one tar: owner 0, mode 0644, time 0, so that equal input gives equal bytes.
 *
 * @throws KernelError `MODULE_INVALID` when a path does not fit a ustar header
 */
export const writeTar = (files: readonly TarFile[]): Buffer => {
  const parts: Uint8Array[] = [];
  for (const { path, content } of files) {
    const header = writeHeader(path, content.length);
    if (header === null)
      throw new KernelError('MODULE_INVALID', 'the name of a file is too long for an archive', { context: { path } });
    parts.push(header, content, Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES));
  }
  return Buffer.concat([...parts, Buffer.alloc(BLOCK_BYTES * END_BLOCKS)]);
};

const refuse = (message: string, offset: number): never => {
  throw new KernelError('ARTIFACT_INVALID', message, { context: { offset } });
};

const readField = (header: Buffer, start: number, length: number): string => {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.subarray(0, end === -1 ? length : end).toString('latin1');
};

const readHeader = (header: Buffer, offset: number): { readonly path: string; readonly bytes: number } => {
  const type = String.fromCharCode(header[156] ?? 0);
  if (type !== '0')
    refuse(
      `the archive holds ${TYPE_NAMES[type] ?? 'an entry of an unknown kind'}; only regular files may be in it`,
      offset,
    );
  const prefix = readField(header, 345, 155);
  const path = prefix === '' ? readField(header, 0, 100) : `${prefix}/${readField(header, 0, 100)}`;
  const size = readField(header, 124, 12);
  if (!/^[0-7]{11}$/.test(size)) refuse('the size of an entry is not in the plain form', offset);
  const bytes = Number.parseInt(size, 8);
  if (writeHeader(path, bytes)?.equals(header) !== true)
    refuse('the header of an entry is not in the form that `module pack` writes', offset);
  return { path, bytes };
};

/**
 * Reads a tar that `writeTar` made; contents are views into `tar`.
 *
 * @throws KernelError `ARTIFACT_INVALID` for anything else, with the offset of the offending block
 */
export const readTar = (tar: Buffer): readonly TarFile[] => {
  if (tar.length % BLOCK_BYTES !== 0) refuse('the archive ends inside a block', tar.length);
  const files: TarFile[] = [];
  let offset = 0;
  for (;;) {
    if (offset + BLOCK_BYTES * END_BLOCKS > tar.length) refuse('the archive has no end', offset);
    const header = tar.subarray(offset, offset + BLOCK_BYTES);
    if (header[0] === 0) break;
    if (files.length >= ARTIFACT_LIMITS.files)
      refuse(`the archive holds more than ${ARTIFACT_LIMITS.files} files`, offset);
    const { path, bytes } = readHeader(header, offset);
    const start = offset + BLOCK_BYTES;
    const end = start + bytes;
    const next = start + Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
    if (next > tar.length) refuse('a file is cut off', offset);
    if (tar.subarray(end, next).some((byte) => byte !== 0)) refuse('something is hidden behind the end of a file', end);
    files.push({ path, content: tar.subarray(start, end) });
    offset = next;
  }
  // Nothing may follow the end: what one reader skips another may read.
  if (tar.length !== offset + BLOCK_BYTES * END_BLOCKS || tar.subarray(offset).some((byte) => byte !== 0)) {
    refuse('something follows the end of the archive', offset);
  }
  return files;
};
