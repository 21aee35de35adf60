import { describe, expect, it } from 'vitest';
import { KernelError } from '../../../../../../Kernel/contract/errors.ts';
import { compileSchema, findSchemaFaults } from '../../../../../../Kernel/contract/module/json-schema/compile.ts';

const deep = (levels: number): unknown => {
  let schema: unknown = { type: 'string' };
  for (let level = 0; level < levels; level += 1) schema = { items: schema };
  return schema;
};

describe('compileSchema', () => {
  it.each([
    ['pattern', { pattern: '(a+)+$' }, '/pattern'],
    ['format', { properties: { a: { format: 'email' } } }, '/properties/a/format'],
    ['a reference to elsewhere', { $ref: 'https://example.com/s.json' }, '/$ref'],
    ['a reference to nothing', { $ref: '#/$defs/nope' }, '/$ref'],
    ['a reference to a part', { $ref: '#/properties/a', properties: { a: {} } }, '/$ref'],
    ['an unknown type', { type: 'text' }, '/type'],
    ['no type', { type: [] }, '/type'],
    ['an empty enum', { enum: [] }, '/enum'],
    ['const beside enum', { const: 1, enum: [1] }, '/enum'],
    ['a negative length', { minLength: -1 }, '/minLength'],
    ['a broken bound', { maximum: '3' }, '/maximum'],
    ['multipleOf 0', { multipleOf: 0 }, '/multipleOf'],
    ['properties that are a list', { properties: [] }, '/properties'],
    ['required twice', { required: ['a', 'a'] }, '/required'],
    ['an empty anyOf', { anyOf: [] }, '/anyOf'],
    ['uniqueItems yes', { uniqueItems: 'yes' }, '/uniqueItems'],
    ['draft 4', { $schema: 'http://json-schema.org/draft-04/schema#' }, '/$schema'],
    ['$defs inside', { items: { $defs: {} } }, '/items/$defs'],
    ['a broken definition', { $defs: { a: { type: 1 } } }, '/$defs/a/type'],
    ['too many levels', deep(33), '/items/items/items'],
    ['too many nodes', { anyOf: Array.from({ length: 2001 }, () => ({})) }, '/anyOf'],
    ['too many values', { enum: Array.from({ length: 3000 }, (_, index) => index) }, '/enum'],
    ['a list as schema', { items: [] }, '/items'],
  ])('refuses %s and names the place', (_what, schema, pointer) => {
    let thrown: unknown;
    try {
      compileSchema(schema);
    } catch (fault) {
      thrown = fault;
    }
    expect(thrown).toBeInstanceOf(KernelError);
    expect(thrown).toMatchObject({ code: 'MODULE_INVALID' });
    const issues = (thrown as KernelError).context['issues'] as { pointer: string }[];
    expect(issues[0]?.pointer.startsWith(pointer)).toBe(true);
  });

  it.each([
    ['itself', { $ref: '#' }],
    ['itself through alternatives', { anyOf: [{ not: { $ref: '#' } }] }],
    ['two that call each other', { $defs: { a: { $ref: '#/$defs/b' }, b: { allOf: [{ $ref: '#/$defs/a' }] } } }],
  ])('refuses a reference to %s', (_what, schema) => {
    expect(findSchemaFaults(schema)[0]?.message).toContain('without end');
  });

  it('takes trees, lists and 32 levels', () => {
    expect(
      findSchemaFaults({
        $defs: { tree: { properties: { left: { $ref: '#/$defs/tree' }, right: { $ref: '#' } } } },
        items: { $ref: '#/$defs/tree' },
      }),
    ).toEqual([]);
    expect(findSchemaFaults(deep(32))).toEqual([]);
    expect(findSchemaFaults({ $defs: { 'a/b': {} }, $ref: '#/$defs/a~1b' })).toEqual([]);
  });

  it('tells several faults at once, but not a thousand', () => {
    const faults = findSchemaFaults({
      properties: Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`p${index}`, { typo: 1 }])),
    });
    expect(faults.length).toBe(20);
    expect(findSchemaFaults({ propertes: {} })[0]?.suggestion).toBe('properties');
  });
});
