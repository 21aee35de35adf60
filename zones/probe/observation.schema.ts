/** What the probe prints: one JSON line of things seen. It judges nothing; the kernel does (probe.verdict.ts). */
import { z } from 'zod';

export const observationSchema = z.strictObject({
  /** By name of the attempt: `ok`, the name of the errno, or `absent` when this architecture has no such call. */
  attempts: z.record(z.string(), z.string()),
  uid: z.int(),
  gid: z.int(),
  pid: z.int(),
  /** Fields of /proc/self/status. */
  status: z.record(z.string(), z.string()),
  interfaces: z.array(z.string()),
  /** Options of the mounts that matter, by mount point. */
  mounts: z.record(z.string(), z.string()),
  cgroups: z.array(z.string()),
  /** Result of writing where nothing may be written, by path. */
  writes: z.record(z.string(), z.string()),
  coreLimit: z.string(),
});
export type Observation = z.infer<typeof observationSchema>;
