/**
 * Finds out how a container ended. Only the engine is asked: what an instance says of itself is no evidence.
 */
import { toKernelError } from '../../Kernel/contract/errors.ts';
import type { ContainerId } from '../../Kernel/contract/ids.ts';
import type { Clock, EnginePort, Log } from '../../Kernel/contract/ports.ts';
import type { InstanceState, ObservedExit } from './instance.machine.ts';

/** How much of a failed start's output is kept for the reason. */
const STARTUP_OUTPUT_BYTES = 2_048;

export type ExitWatchPorts = {
  readonly engine: EnginePort;
  readonly clock: Clock;
  readonly log: Log;
  readonly timeoutMs: () => number;
  readonly ended: AbortSignal;
  readonly container: () => ContainerId | null;
  /** The engine is still creating: a container may yet come of it. */
  readonly launching: () => boolean;
  readonly state: () => InstanceState;
  readonly onExit: (exit: ObservedExit) => void;
};

/** `check` asks once, in the background; asking again while an answer is awaited is harmless. */
export const watchExit = (ports: ExitWatchPorts): { readonly check: () => void } => {
  const { engine, clock, log } = ports;
  let asking = false;
  const bounded = (): AbortSignal => AbortSignal.any([ports.ended, AbortSignal.timeout(ports.timeoutMs())]);

  /** What the agent printed before it closed its descriptors: empty after a good start. */
  const startupOutput = async (container: ContainerId): Promise<string> => {
    try {
      return (await engine.startupOutput(container, STARTUP_OUTPUT_BYTES, bounded())).trim();
    } catch (thrown) {
      log.debug('no startup output', { reason: toKernelError(thrown).message });
      return '';
    }
  };

  /** `null`: it runs, or nobody knows yet. */
  const observe = async (): Promise<ObservedExit | null> => {
    const at = new Date(clock.wallMs()).toISOString();
    const nothing = { exitCode: null, signal: null, oomKilled: false, at };
    const killing = (): boolean => ports.state().kind === 'killing';
    const container = ports.container();
    if (container === null) {
      return killing() && !ports.launching() ? { ...nothing, detail: 'the container was never made' } : null;
    }
    const facts = await engine.inspect(container, bounded());
    if (facts === null) return { ...nothing, detail: 'the engine does not know the container any more' };
    if (facts.state === 'running' || facts.state === 'paused' || facts.state === 'restarting') return null;
    if (facts.state === 'created')
      return killing() && !ports.launching() ? { ...nothing, detail: 'the container never started' } : null;
    const { exitCode = null, signal = null, oomKilled = false, finishedAt = at, error = null } = facts.exit ?? {};
    const output = await startupOutput(container);
    return { exitCode, signal, oomKilled, at: finishedAt, detail: [error, output].filter(Boolean).join('; ') };
  };

  const ask = async (): Promise<void> => {
    try {
      const exit = await observe();
      if (exit !== null) ports.onExit(exit);
    } catch (thrown) {
      log.debug('the exit is not known yet', { reason: toKernelError(thrown).message });
    } finally {
      asking = false;
    }
  };

  return {
    check: () => {
      if (asking || ports.state().kind === 'gone') return;
      asking = true;
      void ask();
    },
  };
};
