/** Gives descriptors 1 and 2 to /dev/null, so that nothing a module prints reaches the engine's log pipe. */
import { closeSync, openSync, writeSync } from 'node:fs';

let silenced = false;

/** Closes and opens anew: the lowest free descriptor is the one that was just closed (open(2)). Runs once. */
export const silenceDescriptors = (): void => {
  if (silenced) return;
  silenced = true;
  for (const fd of [1, 2]) {
    closeSync(fd);
    const opened = openSync('/dev/null', 'w');
    if (opened !== fd) throw new Error(`descriptor ${fd} could not be replaced, ${opened} was given`);
  }
};

/** Tells the engine's log why there is no agent; does nothing once the descriptors are silenced. */
export const reportFailure = (text: string): void => {
  if (silenced) return;
  try {
    writeSync(2, `kerneld agent: ${text}\n`);
  } catch {
    // Nobody reads descriptor 2: there is no other place to say it.
  }
};
