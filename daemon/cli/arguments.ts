/** Readers of single arguments. A wrong one is a mistake of usage (exit status 2), found before the kernel is asked. */
import { Argument, InvalidArgumentError, Option } from 'commander';
import { MODULE_NAME_PATTERN, ZONE_NAMES } from '../../Kernel/contract/ids.ts';
import { parseDuration } from '../../Kernel/contract/units.ts';

const MAX_LINES = 10_000;
const MAX_TIMEOUT_MS = 86_400_000;

const readModuleName = (text: string): string => {
  if (MODULE_NAME_PATTERN.test(text)) return text;
  throw new InvalidArgumentError('Expected a-z, 0-9 and inner hyphens, a letter first, at most 40 characters.');
};

const readCount = (text: string): number => {
  const count = /^\d{1,5}$/.test(text) ? Number(text) : MAX_LINES + 1;
  if (count > MAX_LINES) throw new InvalidArgumentError(`Expected a whole number from 0 to ${MAX_LINES}.`);
  return count;
};

const readTimeout = (text: string): number => {
  const duration = parseDuration(text);
  if (!duration.ok) throw new InvalidArgumentError(`Expected ${duration.reason}.`);
  if (duration.value < 1 || duration.value > MAX_TIMEOUT_MS)
    throw new InvalidArgumentError('Expected a time from 1ms to 24h.');
  return duration.value;
};

export const moduleArgument = (): Argument => new Argument('<name>', 'name of the module').argParser(readModuleName);
export const zoneArgument = (): Argument => new Argument('<zone>', 'name of the zone').choices(ZONE_NAMES);
export const zoneOption = (): Option => new Option('--zone <zone>', 'install into this zone').choices(ZONE_NAMES);
export const followOption = (): Option => new Option('-f, --follow', 'wait for more').default(false);
export const limitOption = (count: number): Option =>
  new Option('-n, --lines <count>', 'how many of the newest to show').argParser(readCount).default(count);
export const timeoutOption = (): Option =>
  new Option('--timeout <time>', 'give up after this time, as 2s (default: what the function declares)').argParser(
    readTimeout,
  );
