import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_ISSUES } from '../../../config/config-issue.ts';
import { GIB, HEADER, issuesOf, MACHINE, parse, SHIPPED, valid } from './config-support.ts';

const ROOT = 'apiVersion, pool, zones, instances, restart, wire, bus, logs, control, lifecycle, engine, modules';

/** [what is broken, text, the exact lines reported] */
const BROKEN: readonly (readonly [string, string, readonly string[]])[] = [
  ['an empty file', '', ['kernel.yaml:1:1  apiVersion: missing; expected kerneld/v1']],
  ['only comments', '# nothing\n\n', ['kernel.yaml:1:1  apiVersion: missing; expected kerneld/v1']],
  ['a list', '- a\n', ['kernel.yaml:1:1  the file holds no mapping; expected keys']],
  ['a text', 'hello\n', ['kernel.yaml:1:1  the file holds no mapping; expected keys']],
  [
    'another version',
    'apiVersion: kerneld/v2\n',
    ['kernel.yaml:1:13  apiVersion: "kerneld/v2" is not a version that this kernel knows; expected kerneld/v1'],
  ],
  [
    'a misspelt key',
    `${HEADER}zones:\n  stable:\n    memroy: 60%\n`,
    ['kernel.yaml:4:5  zones.stable.memroy: unknown key; did you mean "memory"?'],
  ],
  ['a misspelt section', `${HEADER}zone: {}\n`, ['kernel.yaml:2:1  zone: unknown key; did you mean "zones"?']],
  [
    'a key that resembles none',
    `${HEADER}plugins: {}\n`,
    [`kernel.yaml:2:1  plugins: unknown key; expected one of ${ROOT}`],
  ],
  [
    'an unknown zone',
    `${HEADER}zones: {testing: {}}\n`,
    ['kernel.yaml:2:9  zones.testing: unknown key; expected one of stable, sandbox'],
  ],
  [
    'decimal units',
    `${HEADER}zones:\n  stable:\n    memory: 512MB\n    instance:\n      memory: 128mb\n      tmp: 8M\n`,
    [
      'kernel.yaml:4:13  zones.stable.memory: "512MB" is neither a size with unit nor a percentage; did you mean "512MiB"?',
      'kernel.yaml:6:15  zones.stable.instance.memory: "128mb" is not a size with unit; did you mean "128MiB"?',
      'kernel.yaml:7:12  zones.stable.instance.tmp: "8M" is not a size with unit; did you mean "8MiB"?',
    ],
  ],
  [
    'bare numbers',
    `${HEADER}instances:\n  startTimeout: 15\n  drainTimeout: 10 seconds\nbus: {maxPayload: 65536}\n`,
    [
      'kernel.yaml:3:17  instances.startTimeout: 15 is not a time with unit; expected a time with unit (ms, s, m, h, d) from 100ms to 10m',
      'kernel.yaml:4:17  instances.drainTimeout: "10 seconds" is not a time with unit; did you mean "10s"?',
      'kernel.yaml:5:19  bus.maxPayload: 65536 is not a size with unit; expected a size with unit (B, KiB, MiB, GiB, TiB) from 1B to 16MiB',
    ],
  ],
  [
    'out of bounds',
    `${HEADER}instances: {startTimeout: 1ms, orphanTimeout: 365d}\n`,
    [
      'kernel.yaml:2:27  instances.startTimeout: "1ms" is too small; expected a time with unit (ms, s, m, h, d) from 100ms to 10m',
      'kernel.yaml:2:47  instances.orphanTimeout: "365d" is too large; expected a time with unit (ms, s, m, h, d) from 5s to 30d',
    ],
  ],
  [
    'wrong types',
    `${HEADER}zones:\n  stable:\n    enabled: yes\n    maxInstances: "64"\n    instance: 128MiB\n  sandbox: [1]\n`,
    [
      'kernel.yaml:4:14  zones.stable.enabled: "yes" is not true or false; did you mean "true"?',
      'kernel.yaml:5:19  zones.stable.maxInstances: "64" is text, not a whole number; expected a whole number from 1 to 10000',
      'kernel.yaml:6:15  zones.stable.instance: "128MiB" is not a mapping; expected keys below it, or the key left out',
      'kernel.yaml:7:12  zones.sandbox: a list is not a mapping; expected keys below it, or the key left out',
    ],
  ],
  [
    'half of a number',
    `${HEADER}zones: {stable: {maxInstances: 1.5}}\n`,
    ['kernel.yaml:2:32  zones.stable.maxInstances: 1.5 is not a whole number; expected a whole number from 1 to 10000'],
  ],
  [
    'a word nearly right',
    `${HEADER}logs: {level: wran}\nlifecycle: {onTerminate: leave it}\n`,
    [
      'kernel.yaml:2:15  logs.level: "wran" is not known here; did you mean "warn"?',
      'kernel.yaml:3:26  lifecycle.onTerminate: "leave it" is not known here; expected one of stop, leave',
    ],
  ],
  [
    'impossible percentages',
    `${HEADER}zones: {stable: {memory: 0%, cpus: 101%}, sandbox: {memory: -1%}}\n`,
    [
      'kernel.yaml:2:26  zones.stable.memory: "0%" is too small; expected a size from 64MiB (as 512MiB), or a percentage of the pool (as 60%)',
      'kernel.yaml:2:36  zones.stable.cpus: "101%" is more than the whole; expected a number of cores from 0.01 (as 1.5), or a percentage of the pool (as 60%)',
      'kernel.yaml:2:61  zones.sandbox.memory: "-1%" is neither a size with unit nor a percentage; expected a size from 64MiB (as 512MiB), or a percentage of the pool (as 60%)',
    ],
  ],
  [
    'a pool larger than the machine',
    `${HEADER}pool:\n  memory: 64GiB\n  cpus: 8\n`,
    [
      'kernel.yaml:3:11  pool.memory: 64GiB is more than the machine has; expected auto, or at most 4GiB',
      'kernel.yaml:4:9  pool.cpus: 8 cores is more than the machine has; expected auto, or at most 2 cores',
    ],
  ],
  [
    'a zone larger than the pool',
    `${HEADER}pool: {memory: 1GiB, cpus: 1}\nzones:\n  stable: {memory: 2GiB, cpus: 1.5}\n`,
    [
      'kernel.yaml:4:20  zones.stable.memory: 2GiB is more than the pool; expected at most 1GiB',
      'kernel.yaml:4:32  zones.stable.cpus: 1.5 cores is more than the pool; expected at most 1 cores',
    ],
  ],
  [
    'zones that share out more than the pool',
    `${HEADER}pool: {memory: 1GiB}\nzones:\n  stable: {memory: 70%}\n  sandbox: {memory: 512MiB}\n`,
    [
      'kernel.yaml:5:21  zones.sandbox.memory: the zones together have 1228MiB, more than the pool; expected at most 1GiB together',
    ],
  ],
  [
    'an instance larger than its zone',
    `${HEADER}zones:\n  sandbox:\n    memory: 256MiB\n    instance: {memory: 512MiB, cpus: 2}\n`,
    [
      'kernel.yaml:5:24  zones.sandbox.instance.memory: 512MiB for one instance is more than its zone; expected at most 256MiB',
      'kernel.yaml:5:38  zones.sandbox.instance.cpus: 2 cores for one instance is more than its zone; expected at most 0.72 cores',
    ],
  ],
  [
    'temporary files larger than memory',
    `${HEADER}zones:\n  stable:\n    instance:\n      moduleTmp: 100MiB\n`,
    [
      'kernel.yaml:5:18  zones.stable.instance.tmp: tmp and moduleTmp together are 116MiB, more than memory less 48MiB; expected at most 80MiB together',
    ],
  ],
  [
    'a heartbeat as long as its limit',
    `${HEADER}instances: {heartbeat: {interval: 10s}}\n`,
    [
      'kernel.yaml:2:35  instances.heartbeat.interval: 10s is not less than instances.heartbeat.limit allows; expected less than 10s',
    ],
  ],
  [
    'a back-off that starts above its end',
    `${HEADER}restart: {backoff: {initial: 1m}}\n`,
    ['kernel.yaml:2:30  restart.backoff.initial: 1m is more than restart.backoff.max allows; expected at most 30s'],
  ],
  [
    'a back-off longer than the window of quarantine',
    `${HEADER}restart: {backoff: {initial: 20s, max: 20s}, intensity: {restarts: 5, window: 30s}}\n`,
    [
      'kernel.yaml:2:79  restart.intensity.window: a module that fails at once is never quarantined: the back-off of 5 restarts takes 64s, the window is 30s; expected more than 64s, fewer restarts or a shorter back-off',
    ],
  ],
  [
    'more restarts than a window can hold at the longest delay',
    `${HEADER}restart: {intensity: {restarts: 100}}\n`,
    [
      'kernel.yaml:2:33  restart.intensity.window: a module that fails at once is never quarantined: the back-off of 100 restarts takes 2200880ms, the window is 5m; expected more than 2200880ms, fewer restarts or a shorter back-off',
    ],
  ],
  [
    'an engine that is hardly ever asked',
    `${HEADER}engine: {pingInterval: 31s}\n`,
    [
      'kernel.yaml:2:24  engine.pingInterval: "31s" is too large; expected a time with unit (ms, s, m, h, d) from 100ms to 30s',
    ],
  ],
  [
    'frames that do not fit',
    `${HEADER}bus: {maxPayload: 4MiB}\nwire: {agent: {bytesPerSecond: 1MiB}}\n`,
    [
      'kernel.yaml:2:19  bus.maxPayload: 4MiB is more than wire.agent.maxFrame allows; expected at most 4092KiB',
      'kernel.yaml:3:32  wire.agent.maxFrame: 4MiB is more than wire.agent.bytesPerSecond allows; expected at most 1MiB',
    ],
  ],
  [
    'instances that drain longer than the kernel',
    `${HEADER}instances: {drainTimeout: 1m}\n`,
    ['kernel.yaml:2:27  instances.drainTimeout: 1m is more than lifecycle.drainTimeout allows; expected at most 20s'],
  ],
  [
    'uids of the system',
    `${HEADER}instances: {uidRange: {first: 500, last: 900}}\n`,
    [
      'kernel.yaml:2:31  instances.uidRange.first: 500 is too small; expected a whole number from 1000 to 4294967293',
      'kernel.yaml:2:42  instances.uidRange.last: 900 is too small; expected a whole number from 1000 to 4294967293',
    ],
  ],
  [
    'a reversed range of uids',
    `${HEADER}instances: {uidRange: {first: 3000, last: 2000}}\n`,
    ['kernel.yaml:2:43  instances.uidRange.last: 2000 is before the first, 3000; expected at least 3000'],
  ],
  [
    'too few uids',
    `${HEADER}instances: {uidRange: {first: 3000, last: 3099}}\n`,
    ['kernel.yaml:2:43  instances.uidRange.last: the range holds 100 ids for 128 instances; expected at least 3127'],
  ],
  [
    'the uid of nobody',
    `${HEADER}instances: {uidRange: {first: 65000, last: 66000}}\n`,
    [
      'kernel.yaml:2:31  instances.uidRange.first: the range holds 65534, the account nobody; expected a range that no account uses, as 210000 to 210999',
    ],
  ],
  [
    'an engine over TCP',
    `${HEADER}engine: {host: "tcp://10.0.0.1:2375"}\n`,
    [
      'kernel.yaml:2:16  engine.host: "tcp://10.0.0.1:2375" does not fit; expected auto, or a Unix socket of at most 107 bytes, as unix:///var/run/docker.sock',
    ],
  ],
  [
    'nothing after the colon',
    `${HEADER}pool:\nengine:\n  host:\n`,
    [
      'kernel.yaml:2:1  pool: nothing is written below this key; expected keys below it, or the key left out',
      'kernel.yaml:4:3  engine.host: nothing is written here; did you mean "auto"?',
    ],
  ],
  [
    'modules that are none',
    `${HEADER}modules:\n  Greeter: {}\n  bot: {confg: 1}\n  other: 3\n`,
    [
      'kernel.yaml:3:3  modules.Greeter: not a name of a module; expected a-z, 0-9 and inner hyphens, starting with a letter, at most 40 characters',
      'kernel.yaml:4:9  modules.bot.confg: unknown key; did you mean "config"?',
      'kernel.yaml:5:10  modules.other: 3 is not a mapping; expected keys below it, or the key left out',
    ],
  ],
  [
    'a repeated key beside other mistakes',
    `${HEADER}logs: {level: inof}\nlogs: {}\npool: {memory: 5}\n`,
    [
      'kernel.yaml:2:15  logs.level: "inof" is not known here; did you mean "info"?',
      'kernel.yaml:3:1  logs: the same key again, first on line 2; expected each key once',
      'kernel.yaml:4:16  pool.memory: 5 is neither a size with unit nor a percentage; expected auto, a size from 64MiB (as 512MiB), or a percentage of the machine (as 60%)',
    ],
  ],
  [
    'a file cut in a quotation',
    `${HEADER}pool:\n  memory: "1Gi`,
    ['kernel.yaml:3:15  not valid YAML: Missing closing "quote; expected the quotation or bracket to be closed'],
  ],
  [
    'a file cut in a key',
    `${HEADER}pool:\n  mem`,
    ['kernel.yaml:3:3  pool: "mem" is not a mapping; expected keys below it, or the key left out'],
  ],
  [
    'tabs',
    `${HEADER}pool:\n\tmemory: auto\n`,
    ['kernel.yaml:3:1  not valid YAML: Tabs are not allowed as indentation; expected spaces as indentation'],
  ],
  [
    'a second document',
    `${HEADER}---\npool: {}\n`,
    [
      'kernel.yaml:2:1  not valid YAML: a second document begins here; expected a single document, without "---" after the first key',
    ],
  ],
  [
    'NUL',
    `${HEADER}pool: \u0000\n`,
    ['kernel.yaml:2:7  character U+0000 does not belong in text; expected plain text in UTF-8'],
  ],
  [
    'an escape sequence',
    `${HEADER}\u001b[31mpool: {}\n`,
    ['kernel.yaml:2:1  character U+001b does not belong in text; expected plain text in UTF-8'],
  ],
  [
    'an escape sequence in an escaped key',
    `${HEADER}"\\e[31m\\u202e": 1\n`,
    [`kernel.yaml:2:1  "\\u001b[31m\\u202e": unknown key; expected one of ${ROOT}`],
  ],
  [
    'bytes that were not UTF-8',
    `${HEADER}control: {group: \ufffd}\n`,
    ['kernel.yaml:2:18  character U+fffd does not belong in text; expected plain text in UTF-8'],
  ],
  [
    'tags',
    `${HEADER}control: {group: !secret x}\n`,
    ['kernel.yaml:2:18  not valid YAML: Unresolved tag: !secret; expected a value without a tag'],
  ],
  [
    'a key that reaches into every object',
    `${HEADER}__proto__: {polluted: true}\n`,
    ['kernel.yaml:2:1  __proto__: not allowed as a key; expected another name'],
  ],
  [
    'keys that are no words',
    `${HEADER}? [a]\n: 1\n`,
    ['kernel.yaml:2:3  not valid YAML: With stringKeys, all keys must be strings; expected a plain word as key'],
  ],
  [
    'an alias without anchor',
    `${HEADER}logs: *nope\n`,
    ['kernel.yaml:2:7  logs: alias "nope" has no anchor; expected an anchor of that name before it'],
  ],
  [
    'infinity',
    `${HEADER}modules: {bot: {config: {a: .inf}}}\n`,
    ['kernel.yaml:2:29  modules.bot.config.a: Infinity is not a number to work with; expected a finite number'],
  ],
];

describe('broken files', () => {
  it.each(BROKEN)('%s', (_what, text, lines) => expect(issuesOf(text)).toEqual(lines));
  it.each(BROKEN.filter(([, text]) => text.includes('\n')))(
    '%s, with CRLF and a byte order mark, is reported at the same places',
    (_what, text, lines) => {
      expect(issuesOf(`\uFEFF${text.replaceAll('\n', '\r\n')}`)).toEqual(lines);
    },
  );
});

describe('quarantine', () => {
  const restart = (text: string) => issuesOf(`${HEADER}restart: {${text}}\n`);
  it('is within reach up to the last millisecond, whatever part of the delays is random', () => {
    const delays = 'backoff: {initial: 10s, max: 10s, factor: 1, jitter: 0}';
    // Four deaths: the second at once, then twice after ten seconds.
    expect(restart(`${delays}, intensity: {restarts: 3, window: 20001ms}`)).toEqual([]);
    expect(restart(`${delays}, intensity: {restarts: 3, window: 20s}`)).toHaveLength(1);
    expect(restart(`${delays.replace('0}', '0.5}')}, intensity: {restarts: 3, window: 20s}`)).toEqual([]);
  });
  it('needs no delay for the first two deaths', () => {
    const delays = 'backoff: {initial: 1h, max: 1h, jitter: 0}';
    for (const restarts of [0, 1])
      expect(restart(`${delays}, intensity: {restarts: ${restarts}, window: 1s}`)).toEqual([]);
    expect(restart(`${delays}, intensity: {restarts: 2, window: 1s}`)).toHaveLength(1);
  });
});

describe('hostile files', () => {
  it.each([
    ['brackets', '['.repeat(1024 * 1024)],
    ['as many brackets as are read', '['.repeat(49_000)],
    ['dashes', '- '.repeat(24_000)],
    ['question marks', '? '.repeat(24_000)],
    ['indentation', Array.from({ length: 1400 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n')],
    ['line feeds', '\n'.repeat(1024 * 1024)],
    ['keys', Array.from({ length: 7000 }, (_, index) => `k${index}: 1`).join('\n')],
    ['commas', `[${','.repeat(49_000)}`],
    ['anchors', '&a '.repeat(24_000)],
    ['colons', ': '.repeat(24_000)],
    ['quotes', '"'.repeat(49_000)],
    ['too much', '#'.repeat(1024 * 1024 + 1)],
    ['an alias of itself', `${HEADER}modules: {a: {config: &a [*a]}}\n`],
    [
      'a billion laughs',
      `${HEADER}modules: {m: {config: {a: &a [1,1,1,1,1,1,1,1], b: &b [*a,*a,*a,*a,*a,*a,*a,*a], c: [*b,*b,*b,*b,*b,*b]}}}\n`,
    ],
    [
      'an alias multiplied',
      `${HEADER}modules: {m: {config: {a: &a [${'1,'.repeat(2000)}], b: [${'*a,'.repeat(20)}]}}}\n`,
    ],
  ])('%s give issues, soon and not too many', (_what, text) => {
    const started = performance.now();
    const lines = issuesOf(text);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThanOrEqual(MAX_ISSUES + 1);
    for (const line of lines) expect(line).toMatch(/^[\x20-\x7e]{1,600}$/);
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('counts what it does not list', () => {
    const lines = issuesOf(`${HEADER}${Array.from({ length: 150 }, (_, index) => `key${index}: 1\n`).join('')}`);
    expect(lines).toHaveLength(MAX_ISSUES + 1);
    expect(lines.at(-1)).toBe(
      'kernel.yaml:102:1  50 more problems from here on; expected the problems above to be solved first',
    );
  });

  it('never throws, whatever is changed in the shipped file, and every issue lies in the file', () => {
    const edit = fc.record({
      at: fc.nat(SHIPPED.length),
      remove: fc.nat(40),
      insert: fc.oneof(
        fc.string({ maxLength: 12, unit: 'binary' }),
        fc.constantFrom('\n', '\t', '  ', ': ', '- ', '&a ', '*a', '{', '[', '"', '|\n', '%', '!!map ', '<<: ', '~'),
      ),
    });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 6 }), (edits) => {
        const text = edits.reduce(
          (old, { at, remove, insert }) => old.slice(0, at) + insert + old.slice(at + remove),
          SHIPPED,
        );
        const parsed = parse(text);
        if (parsed.ok) return;
        const lineCount = text.split('\n').length;
        expect(parsed.issues.length).toBeGreaterThan(0);
        for (const issue of parsed.issues) {
          expect(issue.line).toBeGreaterThanOrEqual(1);
          expect(issue.line).toBeLessThanOrEqual(lineCount);
          expect(issue.column).toBeGreaterThanOrEqual(1);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('never throws for any text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 400, unit: 'binary' }), (text) => void parse(text)),
      { numRuns: 300 },
    );
    fc.assert(
      fc.property(fc.json(), (text) => void parse(text)),
      { numRuns: 100 },
    );
  });
});

describe('valid files', () => {
  it('need nothing but the version', () => {
    const { config } = valid(HEADER);
    expect(config.pool).toEqual({ memoryBytes: 3.5 * GIB, cpus: 1.8 });
    expect(config.zones.stable).toMatchObject({
      enabled: true,
      memoryBytes: 2150 * 1024 ** 2,
      cpus: 1.08,
      image: null,
      runtime: 'runc',
      seccomp: null,
    });
    expect(config.zones.sandbox.cpus).toBe(0.72);
    expect(config.control.group).toBeNull();
    expect(config.engine.host).toBeNull();
  });

  it('the shipped file says the defaults and fits small and large machines', () => {
    expect(valid(SHIPPED).config).toEqual(valid(HEADER).config);
    for (const memoryBytes of [0.5, 1, 1.9, 4, 64, 1024].map((gib) => gib * GIB)) {
      for (const cpus of [1, 2, 3, 7, 128]) expect(issuesOf(SHIPPED, { memoryBytes, cpus })).toEqual([]);
    }
  });

  it('percentages never add up to more than the pool', () => {
    const machine = fc.record({
      memoryBytes: fc.integer({ min: 1, max: 4096 }).map((n) => n * 300_000_001),
      cpus: fc.integer({ min: 1, max: 512 }),
    });
    fc.assert(
      fc.property(machine, fc.integer({ min: 0, max: 9800 }), (facts, hundredths) => {
        const share = (hundredths + 100) / 100;
        const text = `${HEADER}zones: {stable: {memory: ${share.toFixed(2)}%, cpus: ${share.toFixed(2)}%}, sandbox: {memory: ${(100 - share).toFixed(2)}%, cpus: ${(100 - share).toFixed(2)}%}}`;
        for (const line of issuesOf(text, facts)) expect(line).not.toContain('together have');
      }),
    );
  });

  it('a disabled zone takes no part of the pool and no uids', () => {
    const { config } = valid(
      `${HEADER}pool: {memory: 1GiB}\nzones: {stable: {memory: 100%, cpus: 100%}, sandbox: {enabled: false}}\ninstances: {uidRange: {first: 3000, last: 3063}}\n`,
    );
    expect(config.zones.stable.memoryBytes).toBe(GIB);
  });

  it('aliases stand for what they name', () => {
    const { config } = valid(
      `${HEADER}zones:\n  stable:\n    instance: &limits {pids: 99}\n  sandbox:\n    instance: *limits\n`,
    );
    expect(config.zones.sandbox.instance.pids).toBe(99);
  });

  it('values of modules pass as they are, under any lawful name', () => {
    const { config } = valid(`${HEADER}modules:\n  constructor: {config: {a: [1, x, null, true]}}\n  my-bot: {}\n`);
    expect({ ...config.modules }).toEqual({
      constructor: { config: { a: [1, 'x', null, true] } },
      'my-bot': { config: {} },
    });
    expect(config.modules['toString']).toBeUndefined();
  });

  it('every value knows where it comes from', () => {
    const { sources } = valid(
      `${HEADER}pool:\n  memory: auto\nzones:\n  stable:\n    memory: 50%\nmodules: {bot: {config: {a: 1}}}\n`,
      MACHINE,
    );
    expect(sources.get('pool.memory')).toEqual({ value: 'auto', from: 'machine', line: 3, column: 11 });
    expect(sources.get('pool.cpus')).toEqual({ value: 'auto', from: 'machine' });
    expect(sources.get('zones.stable.memory')).toEqual({ value: '50%', from: 'file', line: 6, column: 13 });
    expect(sources.get('zones.sandbox.memory')).toEqual({ value: '40%', from: 'default' });
    expect(sources.get('modules.bot.config')).toEqual({ value: { a: 1 }, from: 'file', line: 7, column: 25 });
  });
});
