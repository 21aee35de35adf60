import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileSchema } from '../../../../../../Kernel/contract/module/json-schema/compile.ts';
import { validate } from '../../../../../../Kernel/contract/module/json-schema/validate.ts';
import { dumbValidate } from './reference-validator.ts';

const fits = (schema: unknown, value: unknown, budget?: number): boolean =>
  validate(compileSchema(schema), value, budget).ok;
const issuesOf = (schema: unknown, value: unknown) => {
  const result = validate(compileSchema(schema), value);
  return result.ok ? [] : result.issues;
};

const names = fc.constantFrom('a', 'b', 'c', '__proto__', 'constructor', 'toString');
const small = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, 0, 1, 2, -1, 1.5, 4, '', 'a', 'ab', '😀', '😀😀', 'a😀', '\ud83d'),
  fc.integer({ min: -4, max: 8 }),
);
// Built by JSON.parse, as values off the wire are, so that `__proto__` is an ordinary own member.
const toObject = (entries: readonly (readonly [string, unknown])[]): unknown =>
  JSON.parse(
    `{${[...new Map(entries)].map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`,
  );
const values = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    small,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(names, tie('value')), { maxLength: 4 }).map(toObject),
  ),
})).value;
const type = fc.constantFrom('null', 'boolean', 'string', 'number', 'integer', 'array', 'object');
const count = fc.nat(3);
const schemas = fc.letrec<{ schema: unknown }>((tie) => {
  const list = fc.array(tie('schema'), { minLength: 1, maxLength: 3 });
  return {
    schema: fc.oneof(
      { maxDepth: 4 },
      fc.boolean(),
      fc.record({ $ref: fc.constantFrom('#/$defs/x', '#/$defs/y') }),
      fc.record(
        {
          type: fc.oneof(type, fc.uniqueArray(type, { minLength: 1, maxLength: 3 })),
          enum: fc.array(values, { minLength: 1, maxLength: 3 }),
          minimum: fc.integer({ min: -2, max: 3 }),
          maximum: fc.integer({ min: -2, max: 5 }),
          exclusiveMinimum: fc.integer({ min: -2, max: 3 }),
          exclusiveMaximum: fc.integer({ min: -2, max: 5 }),
          multipleOf: fc.constantFrom(1, 2, 0.5),
          minLength: count,
          maxLength: count,
          minItems: count,
          maxItems: count,
          uniqueItems: fc.boolean(),
          minProperties: count,
          maxProperties: count,
          required: fc.uniqueArray(names, { maxLength: 2 }),
          properties: fc.array(fc.tuple(names, tie('schema')), { maxLength: 3 }).map(toObject),
          additionalProperties: tie('schema'),
          items: tie('schema'),
          prefixItems: list,
          anyOf: list,
          oneOf: list,
          allOf: list,
          not: tie('schema'),
          title: fc.constant('t'),
        },
        { requiredKeys: [] },
      ),
    ),
  };
}).schema;

describe('validate', () => {
  it('agrees with a dumb model on any schema and value', () => {
    let valid = 0;
    fc.assert(
      fc.property(schemas, values, (schema, value) => {
        const whole =
          typeof schema === 'boolean'
            ? schema
            : {
                ...(schema as object),
                $defs: {
                  x: { type: ['string', 'array'], items: { $ref: '#/$defs/x' } },
                  y: { minLength: 1, properties: { a: { $ref: '#/$defs/y' } } },
                },
              };
        const expected = dumbValidate(whole, value);
        const result = validate(compileSchema(whole), value);
        expect(result.ok).toBe(expected);
        if (result.ok) valid += 1;
        else expect(result.issues.length).toBeGreaterThan(0);
      }),
      { numRuns: 2000 },
    );
    // A generator whose values never fit would prove nothing.
    expect(valid).toBeGreaterThan(200);
  });

  it('never calls a value valid that it had no budget for', () => {
    fc.assert(
      fc.property(schemas, values, fc.nat(30), (schema, value, budget) => {
        const compiled = compileSchema(
          typeof schema === 'boolean' ? schema : { ...(schema as object), $defs: { x: true, y: true } },
        );
        if (validate(compiled, value, budget).ok) expect(validate(compiled, value).ok).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it('accepts everything for the empty schema', () => {
    for (const value of [undefined, null, 1, 'a', [], {}]) expect(fits({}, value)).toBe(true);
    expect(fits({ title: 'x', default: 1 }, 5)).toBe(true);
    expect(fits(false, 1)).toBe(false);
  });

  it('refuses what is not JSON where a type is asked for', () => {
    for (const value of [undefined, Number.NaN, Infinity, 1n, Symbol('x'), () => 1]) {
      expect(fits({ type: ['null', 'boolean', 'string', 'number', 'array', 'object'] }, value)).toBe(false);
    }
  });

  it('tells all that is wrong with pointers', () => {
    const schema = {
      type: 'object',
      required: ['a', 'b'],
      additionalProperties: false,
      properties: { a: { items: { type: 'string' } }, 'x/y~z': { maximum: 1 } },
    };
    expect(issuesOf(schema, { a: ['ok', 1, null], 'x/y~z': 2, q: 1 })).toEqual([
      { pointer: '', message: '"b" is missing' },
      { pointer: '/a/1', message: 'expected string, found number' },
      { pointer: '/a/2', message: 'expected string, found null' },
      { pointer: '/x~1y~0z', message: 'expected at most 1, found 2' },
      { pointer: '', message: '"q" is not a known member' },
    ]);
  });

  it('counts characters, not units of UTF-16', () => {
    expect(fits({ maxLength: 2 }, '😀😀')).toBe(true);
    expect(fits({ maxLength: 1 }, '😀😀')).toBe(false);
    expect(fits({ minLength: 3 }, '😀😀')).toBe(false);
    expect(fits({ minLength: 2 }, '\ud83d\ud83d')).toBe(true);
  });

  it('knows multiples of decimal fractions', () => {
    expect(fits({ multipleOf: 0.1 }, 0.3)).toBe(true);
    expect(fits({ multipleOf: 0.0001 }, 0.0075)).toBe(true);
    expect(fits({ multipleOf: 0.01 }, 0.0075)).toBe(false);
    expect(fits({ multipleOf: 0.5 }, 1e308)).toBe(true);
  });

  it('is not fooled by names of the prototype', () => {
    expect(fits({ required: ['toString'] }, {})).toBe(false);
    expect(fits({ properties: { constructor: { type: 'string' } } }, {})).toBe(true);
    expect(fits({ additionalProperties: false }, JSON.parse('{"__proto__": {}}'))).toBe(false);
    expect(fits({ enum: [{}] }, JSON.parse('{"__proto__": 1}'))).toBe(false);
  });
});

describe('a hostile pair of schema and value', () => {
  const soon = (schema: unknown, value: unknown): void => {
    const compiled = compileSchema(schema);
    const started = performance.now();
    const result = validate(compiled, value);
    expect(performance.now() - started).toBeLessThan(1500);
    expect(result.ok).toBe(false);
    expect(JSON.stringify(result).length).toBeLessThan(20_000);
  };

  it('of exponential alternatives ends with its budget', () => {
    const levels = Object.fromEntries(
      Array.from({ length: 100 }, (_, index) => [
        `d${index}`,
        {
          anyOf:
            index === 99
              ? [{ type: 'null' }]
              : [{ $ref: `#/$defs/d${index + 1}` }, { allOf: [{ $ref: `#/$defs/d${index + 1}` }] }],
        },
      ]),
    );
    soon({ $defs: levels, $ref: '#/$defs/d0' }, 1);
  });

  it('of a deep value and a recursive schema ends', () => {
    let value: unknown = 1;
    for (let depth = 0; depth < 5000; depth += 1) value = [value];
    soon({ items: { $ref: '#' }, type: ['array', 'string'] }, value);
    soon({ uniqueItems: true }, [value]);
  });

  it('of an enum of objects and a huge value ends', () => {
    const value = Object.fromEntries(Array.from({ length: 200_000 }, (_, index) => [`k${index}`, 1]));
    soon({ enum: Array.from({ length: 900 }, (_, index) => ({ a: index })) }, value);
  });

  it('of a million items that must differ ends', () => {
    soon(
      { uniqueItems: true },
      Array.from({ length: 1_000_000 }, (_, index) => index),
    );
  });

  it('of a `not` that runs out of budget is not valid', () => {
    expect(
      fits(
        { not: { items: { type: 'string' }, minItems: 1 } },
        Array.from({ length: 1000 }, () => 'a'),
        100,
      ),
    ).toBe(false);
  });

  it('of long names gets a short answer', () => {
    soon({ additionalProperties: false }, { ['x'.repeat(1_000_000)]: 1 });
    soon({ const: 'y'.repeat(1000) }, 'x'.repeat(1_000_000));
  });
});

it('validates a small call within a few microseconds', () => {
  const compiled = compileSchema({
    type: 'object',
    additionalProperties: false,
    required: ['name'],
    properties: { name: { type: 'string', minLength: 1, maxLength: 100 } },
  });
  const value = { name: 'Ada' };
  for (let run = 0; run < 20_000; run += 1) validate(compiled, value);
  const started = performance.now();
  for (let run = 0; run < 20_000; run += 1) validate(compiled, value);
  expect((performance.now() - started) / 20).toBeLessThan(20);
});
