/** The engine's event stream for one home. It re-establishes nothing: the caller decides when to try again. */
import { z } from 'zod';
import { KernelError } from '../../Kernel/contract/errors.ts';
import type { ContainerId, HomeId } from '../../Kernel/contract/ids.ts';
import type { EngineEvent } from '../../Kernel/contract/ports.ts';
import { homeFilter } from './container-facts.ts';
import type { EngineClient } from './engine-client.ts';

/** An event is some 1.5 KiB (it repeats the labels); a line beyond this is not one of the engine's. */
const MAX_LINE_BYTES = 256 * 1024;

export const followEvents = async (
  client: EngineClient,
  home: HomeId,
  onOpen: () => void,
  onEvent: (event: EngineEvent) => void,
  signal: AbortSignal,
): Promise<void> => {
  // The request's time limit covers only its opening; after that the stream lives until the signal.
  const stream = (await client.request(
    {
      what: 'open its event stream',
      run: (docker) =>
        docker.getEvents({
          filters: { type: ['container'], event: ['die', 'oom'], label: homeFilter(home) },
          abortSignal: signal,
        }),
    },
    signal,
  )) as (NodeJS.ReadableStream & { destroy: () => void }) | null;
  if (stream === null) throw lost('it refused');
  const onAbort = (): void => stream.destroy();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    if (signal.aborted) return;
    onOpen();
    for await (const line of linesOf(stream)) {
      const event = parseEvent(line);
      if (event !== null) onEvent(event);
    }
  } catch (thrown) {
    if (signal.aborted) return;
    throw thrown instanceof KernelError ? thrown : lost('it broke off', thrown);
  } finally {
    signal.removeEventListener('abort', onAbort);
    stream.destroy();
  }
  if (!signal.aborted) throw lost('it ended');
};

const lost = (why: string, cause?: unknown): KernelError =>
  new KernelError('ENGINE_UNREACHABLE', `the event stream of the container engine is gone: ${why}`, { cause });

async function* linesOf(stream: NodeJS.ReadableStream): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of stream) {
    rest += chunk.toString();
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      yield rest.slice(0, end);
      rest = rest.slice(end + 1);
    }
    if (rest.length > MAX_LINE_BYTES)
      throw new KernelError('ENGINE_FAILED', 'an event of the container engine is too long');
  }
}

const eventSchema = z.object({
  Action: z.string(),
  Actor: z.object({ ID: z.string(), Attributes: z.nullish(z.record(z.string(), z.string())) }),
});

/** One line of the stream; null for what is no event of interest. */
export const parseEvent = (line: string): EngineEvent | null => {
  if (line.trim() === '') return null;
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw new KernelError('ENGINE_FAILED', 'an event of the container engine is not JSON', { cause });
  }
  const result = eventSchema.safeParse(json);
  if (!result.success) return null;
  const { Action: action, Actor: actor } = result.data;
  const container = actor.ID as ContainerId;
  if (action === 'oom') return { kind: 'containerOom', container };
  if (action !== 'die') return null;
  return { kind: 'containerDied', container, exitCode: Number(actor.Attributes?.['exitCode'] ?? -1) };
};
