/** What the engine is and can do, from its `/info` and `/version`. */
import { z } from 'zod';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { EngineFacts } from '../../Kernel/contract/ports.ts';

const infoSchema = z.object({
  ServerVersion: z.string(),
  CgroupVersion: z.string().optional(),
  LiveRestoreEnabled: z.boolean(),
  SecurityOptions: z.nullish(z.array(z.string())),
  Runtimes: z.nullish(z.record(z.string(), z.unknown())),
  DefaultRuntime: z.string(),
  MemoryLimit: z.boolean(),
  PidsLimit: z.boolean(),
  NCPU: z.int(),
  MemTotal: z.number(),
  Driver: z.string(),
  DockerRootDir: z.string(),
});
const versionSchema = z.object({ ApiVersion: z.string() });

/** @throws KernelError `ENGINE_FAILED` when the answers are not ones that kerneld knows */
export const engineFactsOf = (info: unknown, version: unknown): EngineFacts => {
  const parsedInfo = infoSchema.safeParse(info);
  const parsedVersion = versionSchema.safeParse(version);
  if (!parsedInfo.success || !parsedVersion.success) {
    throw new KernelError('ENGINE_FAILED', 'the container engine described itself in an unknown form', {
      cause: parsedInfo.error ?? parsedVersion.error,
    });
  }
  const { data } = parsedInfo;
  const options = data.SecurityOptions ?? [];
  const has = (name: string): boolean => options.some((option) => option.split(',')[0] === `name=${name}`);
  return {
    version: data.ServerVersion,
    apiVersion: parsedVersion.data.ApiVersion,
    cgroupVersion: data.CgroupVersion === '2' ? 2 : 1,
    liveRestore: data.LiveRestoreEnabled,
    seccomp: has('seccomp'),
    runtimes: Object.keys(data.Runtimes ?? {}),
    defaultRuntime: data.DefaultRuntime,
    usernsRemap: has('userns'),
    rootless: has('rootless'),
    memoryLimit: data.MemoryLimit,
    pidsLimit: data.PidsLimit,
    cpuCount: data.NCPU,
    memoryBytes: data.MemTotal,
    storageDriver: data.Driver,
    dataRoot: data.DockerRootDir,
  };
};
