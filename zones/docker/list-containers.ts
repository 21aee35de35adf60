/** Listing in two steps: the engine's list lacks pid and exit, so each container found is inspected. */
import { z } from 'zod';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { ContainerId, HomeId } from '../../Kernel/contract/ids.ts';
import type { ContainerFacts } from '../../Kernel/contract/ports.ts';
import { homeFilter } from './container-facts.ts';
import type { EngineClient } from './engine-client.ts';
import { LABEL, readLabels, uidOfName } from './labels.table.ts';

const entrySchema = z.object({
  Id: z.string(),
  Names: z.nullish(z.array(z.string())),
  Labels: z.nullish(z.record(z.string(), z.string())),
});
const entriesSchema = z.array(entrySchema);

/** Inspections under way at once: adoption of 50 instances within a second, without a burst of 50 connections. */
const INSPECTIONS_AT_ONCE = 8;

export const listHome = async (
  client: EngineClient,
  home: HomeId,
  inspect: (container: ContainerId, signal: AbortSignal) => Promise<ContainerFacts | null>,
  signal: AbortSignal,
): Promise<readonly ContainerFacts[]> => {
  const waiting = (await listEntries(client, homeFilter(home), signal)).map((entry) => entry.Id as ContainerId);
  const found: ContainerFacts[] = [];
  const worker = async (): Promise<void> => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const facts = await inspect(next, signal);
      if (facts !== null) found.push(facts); // null: removed since it was listed
    }
  };
  await Promise.all(Array.from({ length: INSPECTIONS_AT_ONCE }, worker));
  return found;
};

/** Uids of all homes: by name, which is the lease, and by label, in case somebody renamed a container. */
export const listLeasedUids = async (client: EngineClient, signal: AbortSignal): Promise<ReadonlySet<number>> => {
  const uids = new Set<number>();
  for (const entry of await listEntries(client, null, signal)) {
    const { uid } = readLabels(entry.Labels ?? {});
    if (uid !== null && entry.Labels?.[LABEL.home] !== undefined) uids.add(uid);
    for (const name of entry.Names ?? []) {
      const leased = uidOfName(name);
      if (leased !== null) uids.add(leased);
    }
  }
  return uids;
};

const listEntries = async (
  client: EngineClient,
  label: string[] | null,
  signal: AbortSignal,
): Promise<z.infer<typeof entriesSchema>> => {
  const answer = await client.request(
    {
      what: 'list containers',
      run: (docker, abortSignal) =>
        docker.listContainers({ all: true, ...(label === null ? {} : { filters: { label } }), abortSignal }),
    },
    signal,
  );
  const result = entriesSchema.safeParse(answer);
  if (result.success) return result.data;
  throw new KernelError('ENGINE_FAILED', 'the container engine listed containers in an unknown form', {
    cause: result.error,
  });
};
