/** Sends a module's output while there is credit, and keeps the newest of it while there is none. */
import {
  OUTPUT_LINE_BYTES,
  OUTPUT_RESERVE_BYTES,
  OUTPUT_RING_BYTES,
  outputCostBytes,
} from '../../Kernel/contract/wire/agent.constants.ts';
import type { OutputParams } from '../../Kernel/contract/wire/agent.schema.ts';
import { createLineSplitter } from './output-lines.ts';
import { createOutputRing } from './output-ring.ts';

export type OutputLevel = OutputParams['level'];
export type OutputStream = OutputParams['stream'];

export type Output = {
  /** Text of a stream; complete lines are sent, the rest waits for its newline or a moment. */
  readonly write: (stream: OutputStream, level: OutputLevel, text: string) => void;
  /** A connection stands and grants this much. */
  readonly connected: (send: (params: OutputParams) => void, creditBytes: number) => void;
  readonly granted: (bytes: number) => void;
  readonly disconnected: () => void;
  /** Says this even without credit, from the reserve; what waits is given up and counted. */
  readonly lastWords: (text: string) => void;
  /** Emits unfinished lines. */
  readonly flush: () => void;
};

/** How long an unfinished line waits for its end. */
const PARTIAL_WAIT_MS = 200;

export const createOutput = (): Output => {
  const ring = createOutputRing(OUTPUT_RING_BYTES);
  let send: ((params: OutputParams) => void) | undefined;
  let creditBytes = 0;
  let partialTimer: NodeJS.Timeout | undefined;

  const pump = (): void => {
    for (;;) {
      const cost = ring.nextCostBytes();
      if (send === undefined || cost === undefined || cost > creditBytes) return;
      creditBytes -= cost;
      const output = ring.shift();
      if (output !== undefined) send(output);
    }
  };
  // One splitter for each pair of stream and level: half a warning is not continued by an error.
  const splitters = new Map<string, ReturnType<typeof createLineSplitter>>();
  const splitterOf = (stream: OutputStream, level: OutputLevel) => {
    const key = `${stream} ${level}`;
    let splitter = splitters.get(key);
    if (splitter === undefined) {
      splitter = createLineSplitter(OUTPUT_LINE_BYTES, (text) => ring.push({ stream, level, text, at: Date.now() }));
      splitters.set(key, splitter);
    }
    return splitter;
  };
  const flush = (): void => {
    for (const splitter of splitters.values()) splitter.flush();
    pump();
  };

  return {
    write: (stream, level, text) => {
      const splitter = splitterOf(stream, level);
      splitter.push(text);
      pump();
      if (partialTimer !== undefined || !splitter.hasPartial()) return;
      partialTimer = setTimeout(() => {
        partialTimer = undefined;
        flush();
      }, PARTIAL_WAIT_MS);
      partialTimer.unref();
    },
    connected: (sendOutput, grantedBytes) => {
      send = sendOutput;
      creditBytes = grantedBytes;
      pump();
    },
    granted: (bytes) => {
      creditBytes += bytes;
      pump();
    },
    disconnected: () => {
      send = undefined;
      creditBytes = 0;
    },
    lastWords: (text) => {
      flush();
      const lines: string[] = [];
      const splitter = createLineSplitter(OUTPUT_LINE_BYTES, (line) => lines.push(line));
      splitter.push(text);
      splitter.flush();
      let reserve = OUTPUT_RESERVE_BYTES;
      for (const line of lines) {
        const cost = outputCostBytes(Buffer.byteLength(line));
        const covered = cost <= creditBytes;
        if (!covered && cost > reserve) return;
        if (covered) creditBytes -= cost;
        else reserve -= cost;
        send?.({ stream: 'stderr', level: 'error', text: line, at: Date.now(), droppedBytes: ring.drop() });
      }
    },
    flush,
  };
};
