/** Runs the probe in a throwaway container of a zone and judges what it saw. */
import { setTimeout as delay } from 'node:timers/promises';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { ContainerId } from '../../Kernel/contract/ids.ts';
import type { ProbeReport } from '../../Kernel/contract/operations/shapes.ts';
import type { Clock, ContainerFacts, ContainerSpec, EnginePort } from '../../Kernel/contract/ports.ts';
import { NODE_PATH, PROBE_PATH } from '../image/layout.plan.ts';
import { OBSERVATION_PREFIX } from './observation-line.ts';
import { observationSchema } from './observation.schema.ts';
import type { Observation } from './observation.schema.ts';
import { judgeProbe } from './probe.verdict.ts';

export type RunProbeOptions = {
  readonly engine: EnginePort;
  readonly clock: Clock;
  /**
   * The zone's own specification, complete: instance id, uid and directory are the caller's, as for an instance.
   * Only the command is replaced, so profile, capabilities, uid and limits are exactly those of the zone.
   */
  readonly spec: ContainerSpec;
  readonly timeoutMs: number;
};

const POLL_INTERVAL_MS = 15;
const MAX_OUTPUT_BYTES = 64 * 1024;
const REMOVAL_TIMEOUT_MS = 10_000;

/** The probe's own command: no permission model, which is lint and would only hide what the system lets through. */
export const probeCommand = (zone: ContainerSpec['zone']): readonly string[] => [
  NODE_PATH,
  '--experimental-ffi',
  '--disable-warning=ExperimentalWarning',
  '--max-old-space-size=16',
  PROBE_PATH,
  zone,
];

/**
 * A report cannot be forged by what runs later in the zone: the container is the probe's own, ends before any user
 * code starts, and its output comes from the engine.
 *
 * @throws KernelError of the engine; a probe that crashes or is late is a report that has not passed
 */
export const runProbe = async (
  { engine, clock, spec, timeoutMs }: RunProbeOptions,
  signal: AbortSignal,
): Promise<ProbeReport> => {
  const container = await engine.create({ ...spec, command: probeCommand(spec.zone), environment: {} }, signal);
  try {
    await engine.start(container, signal);
    const end = await waitForEnd(engine, clock, container, timeoutMs, signal);
    const output = await engine.startupOutput(container, MAX_OUTPUT_BYTES, signal);
    const seen = end?.exit?.exitCode === 0 ? parseObservation(output) : null;
    return judgeProbe(spec, seen, describeFailure(end, timeoutMs, output), new Date(clock.wallMs()).toISOString());
  } finally {
    // Not the caller's signal: an aborted boot must still leave no container behind.
    await engine.remove(container, AbortSignal.timeout(REMOVAL_TIMEOUT_MS));
  }
};

/** Null when it still runs at the end of its time. */
const waitForEnd = async (
  engine: EnginePort,
  clock: Clock,
  container: ContainerId,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<ContainerFacts | null> => {
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  while (clock.monotonicMs() < deadlineMs) {
    const facts = await engine.inspect(container, signal);
    if (facts === null)
      throw new KernelError('ENGINE_FAILED', 'the container of the probe is gone', { context: { container } });
    if (facts.exit !== null) return facts;
    await delay(POLL_INTERVAL_MS, undefined, { signal }).catch(() => {}); // aborted: the next request says so in its own code
  }
  return null;
};

/** Null when there is no line of the probe, or one that it would not write. */
export const parseObservation = (output: string): Observation | null => {
  const line = output.split('\n').find((one) => one.startsWith(OBSERVATION_PREFIX));
  if (line === undefined) return null;
  try {
    const result = observationSchema.safeParse(JSON.parse(line.slice(OBSERVATION_PREFIX.length)));
    return result.success ? result.data : null;
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return null; // cut off by the size of the log
    throw thrown;
  }
};

const describeFailure = (end: ContainerFacts | null, timeoutMs: number, output: string): string => {
  const last = JSON.stringify(output.trim().slice(-160));
  if (end === null) return `no end within ${timeoutMs} ms`;
  return `ended with ${end.exit?.signal ?? end.exit?.exitCode ?? 'nothing'}${end.exit?.oomKilled ? ' (out of memory)' : ''}: ${last}`;
};
