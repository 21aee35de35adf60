import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KernelError } from '../../../../../Kernel/contract/errors.ts';
import type { ManifestIssue } from '../../../../../Kernel/contract/module/manifest-issues.ts';
import { parseManifestYaml } from '../../../../../Kernel/contract/module/manifest.parse.ts';

const SAMPLE = new URL('../../../../../config/modules/greeter/module.yaml', import.meta.url);
const BASE = 'apiVersion: kerneld/v1\nname: a\nversion: 1.0.0\nentry: a.mjs\n';

const issuesOf = (text: string): readonly ManifestIssue[] => {
  try {
    parseManifestYaml(text);
  } catch (fault) {
    if (!(fault instanceof KernelError)) throw fault;
    expect(fault.code).toBe('MODULE_INVALID');
    return fault.context['issues'] as readonly ManifestIssue[];
  }
  return [];
};

describe('a manifest that is right', () => {
  it('is read with every default filled', () => {
    expect(parseManifestYaml(BASE)).toEqual({
      apiVersion: 'kerneld/v1',
      name: 'a',
      version: '1.0.0',
      entry: 'a.mjs',
      securityVersion: 0,
      zone: 'sandbox',
      tier: 'standard',
      tenant: 'default',
      instances: 1,
      standby: 0,
      network: 'none',
      dependsOn: [],
      classification: 'confidential',
      resources: { memoryBytes: null, cpus: null, pids: null, tmpBytes: null },
      functions: {},
      dryRun: [],
      health: null,
      config: { type: 'object', additionalProperties: false },
      bus: { publish: [], subscribe: [] },
    });
  });

  it('has sizes in bytes and times in milliseconds', async () => {
    const manifest = parseManifestYaml(await readFile(SAMPLE, 'utf8'));
    expect(manifest.resources.memoryBytes).toBe(64 * 1024 * 1024);
    expect(manifest.functions['hello']?.timeoutMs).toBe(1000);
    expect(manifest.health).toEqual({ function: 'health', intervalMs: 10_000, timeoutMs: 500, failures: 3 });
  });

  it('may use anchors', () => {
    const text = `${BASE}functions:\n  f: { params: &p { type: object } }\n  g: { params: *p }\n`;
    expect(parseManifestYaml(text).functions['g']?.params).toEqual({ type: 'object' });
  });
});

describe('a manifest that is wrong', () => {
  it('tells everything at once, with place, expectation and nearest key', () => {
    const issues = issuesOf(
      'apiVersion: kerneld/v1\nname: Bad_Name\nversion: 1.0\nentrie: a.mjs\nzone: sandbx\nresources:\n  memory: 100MiB\n  memroy: 1\nsecrets: []\n' +
        'functions:\n  hello:\n    timeout: 5\n    params: { type: objct, pattern: x }\n',
    );
    const find = (path: string) => issues.filter((issue) => issue.path === path);
    expect(find('name')[0]).toMatchObject({ file: 'module.yaml', line: 2, column: 7 });
    expect(find('version')[0]).toMatchObject({ line: 3, column: 10, expected: 'a value of type string' });
    expect(find('entrie')[0]).toMatchObject({
      line: 4,
      column: 1,
      suggestion: 'entry',
      message: 'unknown key "entrie"',
    });
    expect(find('entry')[0]?.message).toBe('entry is missing');
    expect(find('zone')[0]).toMatchObject({ line: 5, expected: 'stable, sandbox', suggestion: 'sandbox' });
    expect(find('resources.memory')[0]).toMatchObject({ line: 7, column: 11 });
    expect(find('resources.memroy')[0]).toMatchObject({ line: 8, column: 3, suggestion: 'memory' });
    expect(find('secrets')[0]).toMatchObject({ line: 9, message: 'secrets is reserved for a later version' });
    expect(find('functions.hello.timeout')[0]).toMatchObject({ line: 12 });
    expect(find('functions.hello.params.type')[0]).toMatchObject({ line: 13, suggestion: 'object' });
    expect(find('functions.hello.params.pattern')[0]?.message).toContain('not part of the subset');
  });

  it.each(['secrets', 'volumes', 'schedule', 'egress', 'ingress', 'command'])(
    'may not use the reserved word %s',
    (word) => {
      expect(issuesOf(`${BASE}${word}: {}\n`)).toMatchObject([{ message: `${word} is reserved for a later version` }]);
    },
  );

  it.each([
    ['a reserved export as function', 'functions: { then: {} }'],
    ['a health function that is not declared', 'health: { function: nope }'],
    ['a dry run of a function that is not declared', 'dryRun: [{ function: nope }]'],
    [
      'a dry run that its function refuses',
      'functions: { f: { params: { type: string } } }\ndryRun: [{ function: f, params: 1 }]',
    ],
    ['a dependency on itself', 'dependsOn: [a]'],
    ['a /tmp that leaves no room for Node', 'resources: { memory: 64MiB, tmp: 32MiB }'],
    ['a size that is not a class', 'resources: { memory: 96MiB }'],
    ['a bare number as time', 'functions: { f: { timeout: 5 } }'],
    ['no instance', 'instances: 0'],
    ['65 instances', 'instances: 65'],
    ['a network', 'network: host'],
    ['a bad topic', 'bus: { publish: ["../x"] }'],
    ['a key that stands twice', 'tier: core\ntier: standard'],
    ['__proto__', '__proto__: { polluted: true }'],
    ['__proto__ deep inside', 'functions: { f: { params: { properties: { __proto__: true } } } }'],
    ['a number that JSON has not', 'functions: { f: { params: { const: .nan } } }'],
    ['an unknown tag', 'tier: !!js/function core'],
    ['an alias without anchor', 'tier: *nowhere'],
    ['an alias to what holds it', 'config: &c { properties: { a: *c } }'],
    ['a second document', '---\nname: b'],
  ])('is refused for %s', (_what, text) => {
    expect(issuesOf(`${BASE}${text}\n`).length).toBeGreaterThan(0);
  });

  it.each(['1.0', 'v1.0.0', '01.0.0', '1.0.0+build', '1.0.0-', '1.0.0-01', ' 1.0.0'])(
    'is refused for the version %j',
    (version) => {
      expect(issuesOf(BASE.replace('1.0.0', JSON.stringify(version)))).toMatchObject([{ path: 'version' }]);
    },
  );

  it.each([
    '/a.mjs',
    '../a.mjs',
    'a/../b.mjs',
    'a//b.mjs',
    './a.mjs',
    'a.cjs',
    'a',
    'ä.mjs',
    'a\\b.mjs',
    `${'a/'.repeat(110)}b.mjs`,
  ])('is refused for the entry %j', (entry) => {
    expect(issuesOf(BASE.replace('a.mjs', JSON.stringify(entry)))).toMatchObject([{ path: 'entry' }]);
  });
});

describe('a hostile manifest', () => {
  it.each([
    ['larger than its limit', `# ${'x'.repeat(300_000)}`],
    ['deep flow lists', `config: ${'['.repeat(2000)}${']'.repeat(2000)}`],
    ['deep block lists', `config: ${'- '.repeat(2000)}`],
    ['a hundred thousand brackets', '['.repeat(100_000)],
    [
      'a billion laughs',
      [
        'a: &a [x, x, x, x, x, x, x, x, x]',
        ...Array.from(
          'bcdefghij',
          (key, index) => `${key}: &${key} [${Array.from({ length: 9 }, () => `*${'abcdefghi'[index]}`).join(', ')}]`,
        ),
      ].join('\n'),
    ],
    ['thirty thousand keys', Array.from({ length: 30_000 }, (_, index) => `k${index}: 1`).join('\n')],
    ['four thousand unknown keys', Array.from({ length: 4000 }, (_, index) => `k${index}: 1`).join('\n')],
    ['long keys over many children', `${'k'.repeat(100_000)}:\n${'  - 1\n'.repeat(10_000)}`],
  ])('of %s is refused soon, with few issues', (_what, text) => {
    const started = performance.now();
    const issues = issuesOf(text);
    expect(issues.length).toBeGreaterThan(0);
    expect(issues.length).toBeLessThanOrEqual(50);
    expect(JSON.stringify(issues).length).toBeLessThan(100_000);
    expect(performance.now() - started).toBeLessThan(5_000);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('of any text is read or refused with MODULE_INVALID, never with another fault', () => {
    const piece = fc.constantFrom(
      'name',
      ':',
      ' ',
      '\n',
      '- ',
      '{',
      '}',
      '[',
      ']',
      '&a',
      '*a',
      '? ',
      '| ',
      '"',
      "'",
      '!!x ',
      '#',
      '\t',
      '\u0000',
      '1',
      'functions',
      'config',
      '__proto__',
      '<<',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => void issuesOf(pieces.join(''))),
      { numRuns: 1000 },
    );
  });

  it('mutated at any place is read or refused with MODULE_INVALID', async () => {
    const sample = await readFile(SAMPLE, 'utf8');
    fc.assert(
      fc.property(
        fc.nat(sample.length - 1),
        fc.string({ maxLength: 3 }),
        fc.nat(20),
        (at, text, cut) => void issuesOf(sample.slice(0, at) + text + sample.slice(at + cut)),
      ),
      { numRuns: 200 },
    );
  });
});
