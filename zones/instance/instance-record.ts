/**
 * What the kernel remembers of an instance: which module, digest and place it was given. The record is the
 * truth at adoption (DESIGN section 5); what an agent says of itself is compared with it and never believed.
 *
 * Written durably BEFORE the module is sent (`assigning`) and again when it is loaded (`assigned`): an
 * instance whose record is missing or still `assigning` is killed, since nobody knows what is in it.
 */
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { Assignment } from './instance.ports.ts';
import { KernelError } from '../../Kernel/contract/errors.ts';
import { parseInstanceId, type InstanceId } from '../../Kernel/contract/ids.ts';

export const instanceRecordSchema = z.strictObject({
  instance: z.string().transform(parseInstanceId),
  state: z.enum(['assigning', 'assigned']),
  zone: z.enum(['stable', 'sandbox']),
  module: z.string(),
  /** Which of the module's `instances: n` places. */
  index: z.int().nonnegative(),
  version: z.string(),
  digest: z.string(),
  generation: z.int(),
  specDigest: z.string(),
  /** Digest of the configuration values that were given to the module. */
  configDigest: z.string(),
  uid: z.int(),
  restarts: z.int().nonnegative(),
});
export type InstanceRecord = z.output<typeof instanceRecordSchema>;

/** The record of an instance with this assignment. */
export const recordOf = (of: {
  readonly instance: InstanceId;
  readonly assignment: Assignment;
  readonly specDigest: string;
  readonly uid: number;
  readonly state: InstanceRecord['state'];
}): InstanceRecord => {
  const { zone, module, index, version, digest, generation, configDigest, restarts } = of.assignment;
  const { instance, state, specDigest, uid } = of;
  return { instance, state, zone, module, index, version, digest, generation, specDigest, configDigest, uid, restarts };
};

/** Records of one home, a file each. */
export type InstanceRecords = {
  /** @throws KernelError `STATE_UNUSABLE` when it cannot be made durable */
  readonly write: (record: InstanceRecord) => void;
  /** `null`: no record. A damaged one counts as none and is told in `damaged`. */
  readonly readAll: () => Promise<{
    readonly records: ReadonlyMap<InstanceId, InstanceRecord>;
    readonly damaged: readonly string[];
  }>;
  readonly remove: (instance: InstanceId) => void;
};

const fsyncDirectory = (directory: string): void => {
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
};

/** A file is the record's JSON, a line feed and the sha256 of that JSON: a flipped bit may leave JSON that parses. */
const encode = (record: InstanceRecord): string => {
  const text = JSON.stringify(record);
  return `${text}\n${checksum(text)}\n`;
};

const checksum = (text: string): string => createHash('sha256').update(text).digest('hex');

type Reading = { readonly kind: 'record'; readonly record: InstanceRecord } | { readonly kind: 'damaged' | 'gone' };

const readRecord = (file: string): Reading => {
  try {
    const [text = '', sum] = readFileSync(file, 'utf8').split('\n');
    if (checksum(text) !== sum) return { kind: 'damaged' };
    const parsed = instanceRecordSchema.safeParse(JSON.parse(text));
    return parsed.success ? { kind: 'record', record: parsed.data } : { kind: 'damaged' };
  } catch (error) {
    // Torn JSON or an id that is none: the caller reports the file and kills the instance.
    if (error instanceof SyntaxError || error instanceof KernelError) return { kind: 'damaged' };
    const { code } = error as NodeJS.ErrnoException;
    // Removed with its instance since the directory was listed.
    if (code === 'ENOENT') return { kind: 'gone' };
    // A directory or the like of that name is none of ours, and must not keep the zones from starting.
    if (code === 'EISDIR' || code === 'ELOOP' || code === 'ENXIO') return { kind: 'damaged' };
    throw error;
  }
};

/** Opens the records in this directory, which must exist. */
export const openInstanceRecords = (directory: string): InstanceRecords => {
  const fileOf = (instance: string): string => join(directory, `${instance}.json`);
  return {
    write: (record) => {
      const file = fileOf(record.instance);
      const temporary = `${file}.tmp`;
      try {
        const descriptor = openSync(temporary, 'w', 0o600);
        try {
          writeSync(descriptor, encode(record));
          fsyncSync(descriptor);
        } finally {
          closeSync(descriptor);
        }
        renameSync(temporary, file);
        fsyncDirectory(dirname(file));
      } catch (error) {
        throw new KernelError('STATE_UNUSABLE', `the record of ${record.instance} cannot be written`, {
          cause: error,
          context: { file },
          remedy: 'Free space on the disk that holds the state directory.',
        });
      }
    },
    readAll: async () => {
      const records = new Map<InstanceId, InstanceRecord>();
      const damaged: string[] = [];
      for (const name of await readdir(directory)) {
        const file = join(directory, name);
        const reading = name.endsWith('.json') ? readRecord(file) : { kind: 'damaged' as const };
        if (reading.kind === 'record' && `${reading.record.instance}.json` === name)
          records.set(reading.record.instance, reading.record);
        else if (reading.kind !== 'gone') damaged.push(file);
      }
      return { records, damaged };
    },
    remove: (instance) => rmSync(fileOf(instance), { force: true }),
  };
};
