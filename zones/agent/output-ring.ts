/** Output waiting to be sent: the newest bytes, and how many older ones were lost. */
import { outputCostBytes } from '../../Kernel/contract/wire/agent.constants.ts';
import type { OutputParams } from '../../Kernel/contract/wire/agent.schema.ts';

export type OutputLine = Pick<OutputParams, 'stream' | 'level' | 'text' | 'at'>;

export type OutputRing = {
  readonly push: (line: OutputLine) => void;
  /** Cost in credit of the line that is next; `undefined` when the ring is empty. */
  readonly nextCostBytes: () => number | undefined;
  /** Takes the oldest line with the bytes lost before it. */
  readonly shift: () => OutputParams | undefined;
  /** Forgets everything and returns how many bytes of text that and earlier losses were. */
  readonly drop: () => number;
};

type Entry = { readonly line: OutputLine; readonly bytes: number };

/** Compacts the array when this many taken entries lie before the head. */
const COMPACT_AT = 1024;

export const createOutputRing = (maxBytes: number): OutputRing => {
  let entries: Entry[] = [];
  let head = 0;
  let heldBytes = 0;
  let droppedBytes = 0;

  const take = (): Entry | undefined => {
    const entry = entries[head];
    if (entry === undefined) return undefined;
    head += 1;
    heldBytes -= outputCostBytes(entry.bytes);
    if (head >= COMPACT_AT) {
      entries = entries.slice(head);
      head = 0;
    }
    return entry;
  };

  return {
    push: (line) => {
      const entry = { line, bytes: Buffer.byteLength(line.text) };
      entries.push(entry);
      heldBytes += outputCostBytes(entry.bytes);
      // Lines cost more than their text, so that a flood of empty ones is bounded too.
      while (heldBytes > maxBytes) droppedBytes += take()?.bytes ?? 0;
    },
    nextCostBytes: () => {
      const next = entries[head];
      return next === undefined ? undefined : outputCostBytes(next.bytes);
    },
    shift: () => {
      const entry = take();
      if (entry === undefined) return undefined;
      const output = { ...entry.line, droppedBytes };
      droppedBytes = 0;
      return output;
    },
    drop: () => {
      let lost = droppedBytes;
      for (let entry = take(); entry !== undefined; entry = take()) lost += entry.bytes;
      droppedBytes = 0;
      return lost;
    },
  };
};
