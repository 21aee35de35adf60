/** Reads the engine's "inspect container" into ContainerFacts. */
import { z } from 'zod';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { ContainerId } from '../../Kernel/contract/ids.ts';
import type { ContainerExit, ContainerFacts } from '../../Kernel/contract/ports.ts';
import { LABEL, readLabels } from './labels.table.ts';

const inspectSchema = z.object({
  Id: z.string().regex(/^[0-9a-f]{12,64}$/),
  Config: z.object({ Labels: z.nullish(z.record(z.string(), z.string())) }),
  State: z.object({
    Status: z.enum(['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead']),
    Pid: z.int(),
    ExitCode: z.int(),
    OOMKilled: z.boolean(),
    Error: z.string(),
    StartedAt: z.string(),
    FinishedAt: z.string(),
  }),
  HostConfig: z.object({ NetworkMode: z.string(), ReadonlyRootfs: z.boolean() }),
});
export type InspectAnswer = z.infer<typeof inspectSchema>;

/** @throws KernelError `ENGINE_FAILED` when the answer is not one that kerneld knows */
export const parseInspect = (answer: unknown): InspectAnswer => {
  const result = inspectSchema.safeParse(answer);
  if (result.success) return result.data;
  throw new KernelError('ENGINE_FAILED', 'the container engine described a container in an unknown form', {
    cause: result.error,
  });
};

/** Go's zero time, by which the engine says "never". */
const NEVER = '0001-01-01T00:00:00Z';

/** Null for a container without a home label: it is nobody's. */
export const containerFactsOf = (answer: InspectAnswer): ContainerFacts | null => {
  const { home, ...labels } = readLabels(answer.Config.Labels ?? {});
  if (home === null) return null;
  const { State: state } = answer;
  return {
    container: answer.Id as ContainerId,
    home,
    ...labels,
    state: state.Status,
    pid: state.Pid > 0 ? state.Pid : null,
    startedAt: state.StartedAt === NEVER ? null : state.StartedAt,
    exit: exitOf(answer),
  };
};

const exitOf = ({ State: state }: InspectAnswer): ContainerExit | null => {
  const failedStart = state.Status === 'created' && state.Error !== '';
  if (state.Status !== 'exited' && state.Status !== 'dead' && !failedStart) return null;
  return {
    exitCode: state.ExitCode,
    signal: signalOf(state.ExitCode),
    oomKilled: state.OOMKilled,
    finishedAt: state.FinishedAt,
    error: state.Error === '' ? null : state.Error.slice(0, 500),
  };
};

const SIGNALS = new Map([
  [1, 'SIGHUP'],
  [2, 'SIGINT'],
  [3, 'SIGQUIT'],
  [4, 'SIGILL'],
  [5, 'SIGTRAP'],
  [6, 'SIGABRT'],
  [7, 'SIGBUS'],
  [8, 'SIGFPE'],
  [9, 'SIGKILL'],
  [11, 'SIGSEGV'],
  [13, 'SIGPIPE'],
  [15, 'SIGTERM'],
  [24, 'SIGXCPU'],
  [31, 'SIGSYS'],
]);

/** The engine reports a death by signal n as exit code 128+n, which a program may also choose: a hint for people. */
const signalOf = (exitCode: number): string | null => SIGNALS.get(exitCode - 128) ?? null;

/** The filter by which the engine lists only containers of one home. */
export const homeFilter = (home: string): string[] => [`${LABEL.home}=${home}`];
