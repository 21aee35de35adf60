/**
 * The kinds of values that kernel.yaml holds: how each is read, checked and written back.
 * Plain data and pure functions; the zod schema, the editor schema, `config show` and the plan of a
 * reload are all made from these.
 */
import { formatDuration, formatSize, parseDuration, parseSize } from '../Kernel/contract/units.ts';
import { nearestKey } from '../Kernel/contract/nearest-key.verdict.ts';

/**
 * What a change of a setting takes.
 * `live`: applied at once. `instances`: running instances keep the old value until they are replaced.
 * `restart`: the kernel has to be restarted.
 */
export type ChangeEffect = 'live' | 'instances' | 'restart';

/** A part of something larger, or an exact amount. `auto`: whatever the machine has to spare. */
export type Share =
  | { readonly kind: 'auto' }
  | { readonly kind: 'percent'; readonly percent: number }
  | { readonly kind: 'exact'; readonly amount: number };

/** The outcome of reading one written value. */
export type Reading<V> =
  | { readonly ok: true; readonly value: V }
  | { readonly ok: false; readonly message: string; readonly suggestion?: string };

/** What JSON Schema can say about the written form. */
export type WrittenForm =
  | { readonly type: 'string'; readonly pattern: string }
  | { readonly type: 'integer' | 'number'; readonly minimum: number; readonly maximum: number }
  | { readonly type: 'numberOrString'; readonly minimum: number; readonly maximum: number; readonly pattern: string }
  | { readonly type: 'boolean' }
  | { readonly type: 'choice'; readonly values: readonly string[] };

/** One setting. `V` is the value that reading gives. */
export type Leaf<V> = {
  readonly node: 'leaf';
  /** As an operator would write it. */
  readonly default: string | number | boolean;
  readonly effect: ChangeEffect;
  readonly describe: string;
  /** Completes "expected …". */
  readonly expected: string;
  /** What `EffectiveConfig` appends to the key. */
  readonly suffix: '' | 'Bytes' | 'Ms';
  readonly form: WrittenForm;
  readonly read: (written: unknown) => Reading<V>;
  /** Writes an effective value as an operator would. */
  readonly format: (effective: unknown) => string;
};

/** What every maker takes. */
export type Common<D> = { readonly default: D; readonly effect: ChangeEffect; readonly describe: string };
type Bounds = { readonly min: number; readonly max: number };

const ok = <V>(value: V): Reading<V> => ({ ok: true, value });
const wrong = (message: string, suggestion?: string): Reading<never> =>
  suggestion === undefined ? { ok: false, message } : { ok: false, message, suggestion };

/** A value for a message: one line of printable ASCII, short, whatever the file holds. */
export const showValue = (value: unknown): string => {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  const text = typeof value === 'string' && value.length > 40 ? `${value.slice(0, 40)}…` : value;
  return toAscii(JSON.stringify(text) ?? 'nothing');
};

/** Escapes what is not printable ASCII, so that no file can steer a terminal through a message. */
export const toAscii = (text: string): string =>
  text.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** The unit that was probably meant: `256MB` and `256mb` and `256M` -> `256MiB`. */
const repairSize = (written: unknown): string | undefined => {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*$/i.exec(String(written));
  if (match?.[1] === undefined) return undefined;
  // A bare number may mean anything: saying "bytes" would be a guess.
  if (typeof written === 'number') return undefined;
  return match[2] ? `${match[1]}${match[2].toUpperCase()}iB` : `${match[1]}B`;
};
const TIME_WORDS: Readonly<Record<string, string>> = {
  ms: 'ms',
  msec: 'ms',
  millis: 'ms',
  milliseconds: 'ms',
  s: 's',
  sec: 's',
  secs: 's',
  second: 's',
  seconds: 's',
  m: 'm',
  min: 'm',
  mins: 'm',
  minute: 'm',
  minutes: 'm',
  h: 'h',
  hr: 'h',
  hour: 'h',
  hours: 'h',
  d: 'd',
  day: 'd',
  days: 'd',
};
const repairDuration = (written: unknown): string | undefined => {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(String(written));
  const unit = TIME_WORDS[match?.[2]?.toLowerCase() ?? ''];
  return match?.[1] === undefined || unit === undefined ? undefined : `${match[1]}${unit}`;
};
const usable = (suggestion: string | undefined, read: (text: string) => boolean): string | undefined =>
  suggestion !== undefined && read(suggestion) ? suggestion : undefined;

const isQuotedNumber = (written: unknown): boolean => typeof written === 'string' && /^\d+(\.\d+)?$/.test(written);

const inBounds = (value: number, bounds: Bounds, written: unknown): Reading<number> => {
  if (value < bounds.min) return wrong(`${showValue(written)} is too small`);
  return value > bounds.max ? wrong(`${showValue(written)} is too large`) : ok(value);
};

const quantity = (
  options: Common<string> & Bounds & { readonly suffix: Leaf<number>['suffix'] },
  unit: {
    readonly noun: string;
    readonly units: string;
    readonly pattern: string;
    readonly parse: typeof parseSize;
    readonly format: (value: number) => string;
    readonly repair: (written: unknown) => string | undefined;
  },
): Leaf<number> => ({
  node: 'leaf',
  default: options.default,
  effect: options.effect,
  describe: options.describe,
  suffix: options.suffix,
  expected: `a ${unit.noun} with unit (${unit.units}) from ${unit.format(options.min)} to ${unit.format(options.max)}`,
  form: { type: 'string', pattern: unit.pattern },
  read: (written) => {
    const parsed = typeof written === 'string' ? unit.parse(written) : undefined;
    if (parsed?.ok) return inBounds(parsed.value, options, written);
    const repaired = usable(unit.repair(written), (text) => unit.parse(text).ok);
    return wrong(`${showValue(written)} is not a ${unit.noun} with unit`, repaired);
  },
  format: (effective) => unit.format(Number(effective)),
});

const SIZE = {
  noun: 'size',
  units: 'B, KiB, MiB, GiB, TiB',
  pattern: '^\\s*\\d+(\\.\\d+)?(B|KiB|MiB|GiB|TiB)\\s*$',
  parse: parseSize,
  format: formatSize,
  repair: repairSize,
};
const TIME = {
  noun: 'time',
  units: 'ms, s, m, h, d',
  pattern: '^\\s*\\d+(\\.\\d+)?(ms|s|m|h|d)\\s*$',
  parse: parseDuration,
  format: formatDuration,
  repair: repairDuration,
};

/** A size in bytes. */
export const size = (options: Common<string> & Bounds): Leaf<number> => quantity({ ...options, suffix: 'Bytes' }, SIZE);
/** A size in bytes for each second; the key says so itself. */
export const bytesPerSecond = (options: Common<string> & Bounds): Leaf<number> =>
  quantity({ ...options, suffix: '' }, SIZE);
/** A time in milliseconds. */
export const duration = (options: Common<string> & Bounds): Leaf<number> =>
  quantity({ ...options, suffix: 'Ms' }, TIME);

const numeric = (options: Common<number> & Bounds, type: 'integer' | 'number'): Leaf<number> => {
  const expected = `a ${type === 'integer' ? 'whole number' : 'number'} from ${options.min} to ${options.max}`;
  return {
    node: 'leaf',
    default: options.default,
    effect: options.effect,
    describe: options.describe,
    suffix: '',
    expected,
    form: { type, minimum: options.min, maximum: options.max },
    read: (written) => {
      if (
        typeof written !== 'number' ||
        !Number.isFinite(written) ||
        (type === 'integer' && !Number.isSafeInteger(written))
      ) {
        return wrong(
          `${showValue(written)} is ${isQuotedNumber(written) ? 'text, ' : ''}not a ${type === 'integer' ? 'whole number' : 'number'}`,
        );
      }
      return inBounds(written, options, written);
    },
    format: String,
  };
};
/** A whole number. */
export const integer = (options: Common<number> & Bounds): Leaf<number> => numeric(options, 'integer');
/** Any finite number. */
export const number = (options: Common<number> & Bounds): Leaf<number> => numeric(options, 'number');

/** `true` or `false`. */
export const boolean = (options: Common<boolean>): Leaf<boolean> => ({
  node: 'leaf',
  default: options.default,
  effect: options.effect,
  describe: options.describe,
  suffix: '',
  expected: 'true or false',
  form: { type: 'boolean' },
  read: (written) => {
    if (typeof written === 'boolean') return ok(written);
    const word = String(written).toLowerCase();
    const meant = ['yes', 'on', 'y'].includes(word) ? 'true' : ['no', 'off', 'n'].includes(word) ? 'false' : undefined;
    return wrong(`${showValue(written)} is not true or false`, meant);
  },
  format: String,
});

/** One of a few words. */
export const choice = <const T extends string>(
  options: Common<NoInfer<T>> & { readonly values: readonly T[] },
): Leaf<T> => ({
  node: 'leaf',
  default: options.default,
  effect: options.effect,
  describe: options.describe,
  suffix: '',
  expected: `one of ${options.values.join(', ')}`,
  form: { type: 'choice', values: options.values },
  read: (written) => {
    const found = options.values.find((value) => value === written);
    if (found !== undefined) return ok(found);
    const nearest = typeof written === 'string' ? nearestKey(written, options.values) : undefined;
    return wrong(`${showValue(written)} is not known here`, nearest);
  },
  format: String,
});

/** A text; `word` stands for "none of its own" and is read as null. */
export const textOr = (
  options: Common<string> & {
    readonly word: string;
    readonly pattern: string;
    readonly maxLength: number;
    readonly expected: string;
  },
): Leaf<string | null> => ({
  node: 'leaf',
  default: options.default,
  effect: options.effect,
  describe: options.describe,
  suffix: '',
  expected: `${options.word}, or ${options.expected}`,
  form: { type: 'string', pattern: `^(${options.word}|${options.pattern})$` },
  read: (written) => {
    if (written === options.word) return ok(null);
    if (written === null) return wrong('nothing is written here', options.word);
    const fits =
      typeof written === 'string' &&
      written.length <= options.maxLength &&
      new RegExp(`^(${options.pattern})$`).test(written);
    return fits ? ok(written) : wrong(`${showValue(written)} does not fit`);
  },
  format: (effective) => (effective === null ? options.word : (effective as string)),
});

/** A text that has to be there. */
export const text = (
  options: Common<string> & { readonly pattern: string; readonly expected: string },
): Leaf<string> => ({
  node: 'leaf',
  default: options.default,
  effect: options.effect,
  describe: options.describe,
  suffix: '',
  expected: options.expected,
  form: { type: 'string', pattern: `^(${options.pattern})$` },
  read: (written) =>
    typeof written === 'string' && new RegExp(`^(${options.pattern})$`).test(written)
      ? ok(written)
      : wrong(`${showValue(written)} does not fit`),
  format: String,
});

const PERCENT = /^(\d{1,3}(?:\.\d{1,2})?)%$/;
const readPercent = (written: string): Reading<Share> | undefined => {
  const percent = Number(PERCENT.exec(written.trim())?.[1] ?? Number.NaN);
  if (Number.isNaN(percent)) return undefined;
  if (percent <= 0) return wrong(`${showValue(written)} is too small`);
  return percent > 100 ? wrong(`${showValue(written)} is more than the whole`) : ok({ kind: 'percent', percent });
};

type ShareOptions = Common<string> & { readonly of: string; readonly auto: boolean };

/** Memory as a size or as a percentage of `of`. */
export const memoryShare = (options: ShareOptions & { readonly min: number }): Leaf<Share> => ({
  node: 'leaf',
  default: options.default,
  effect: options.effect,
  describe: options.describe,
  suffix: 'Bytes',
  expected: `${options.auto ? 'auto, ' : ''}a size from ${formatSize(options.min)} (as 512MiB), or a percentage of ${options.of} (as 60%)`,
  form: {
    type: 'string',
    pattern: `^\\s*(${options.auto ? 'auto|' : ''}\\d{1,3}(\\.\\d{1,2})?%|\\d+(\\.\\d+)?(B|KiB|MiB|GiB|TiB))\\s*$`,
  },
  read: (written) => {
    if (options.auto && written === 'auto') return ok({ kind: 'auto' });
    const percent = typeof written === 'string' ? readPercent(written) : undefined;
    if (percent !== undefined) return percent;
    const parsed = typeof written === 'string' ? parseSize(written) : undefined;
    if (!parsed?.ok) {
      const repaired = usable(repairSize(written), (repair) => parseSize(repair).ok);
      return wrong(`${showValue(written)} is neither a size with unit nor a percentage`, repaired);
    }
    if (parsed.value < options.min) return wrong(`${showValue(written)} is too small`);
    return ok({ kind: 'exact', amount: parsed.value });
  },
  format: (effective) => formatSize(Number(effective)),
});

/** The engine refuses less. */
const MIN_CPUS = 0.01;
const MAX_CPUS = 4096;
/** Cores as a number or as a percentage of `of`. */
export const cpuShare = (options: ShareOptions): Leaf<Share> => ({
  node: 'leaf',
  default: options.default,
  effect: options.effect,
  describe: options.describe,
  suffix: '',
  expected: `${options.auto ? 'auto, ' : ''}a number of cores from ${MIN_CPUS} (as 1.5), or a percentage of ${options.of} (as 60%)`,
  form: {
    type: 'numberOrString',
    minimum: MIN_CPUS,
    maximum: MAX_CPUS,
    pattern: `^\\s*(${options.auto ? 'auto|' : ''}\\d{1,3}(\\.\\d{1,2})?%)\\s*$`,
  },
  read: (written) => {
    if (options.auto && written === 'auto') return ok({ kind: 'auto' });
    const percent = typeof written === 'string' ? readPercent(written) : undefined;
    if (percent !== undefined) return percent;
    if (typeof written !== 'number' || !Number.isFinite(written)) {
      return wrong(
        `${showValue(written)} is ${isQuotedNumber(written) ? 'text, ' : ''}neither a number of cores nor a percentage`,
      );
    }
    const bounded = inBounds(written, { min: MIN_CPUS, max: MAX_CPUS }, written);
    return bounded.ok ? ok({ kind: 'exact', amount: bounded.value }) : bounded;
  },
  format: String,
});
