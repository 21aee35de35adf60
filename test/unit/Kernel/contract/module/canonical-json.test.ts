import fc from 'fast-check';
import { expect, it } from 'vitest';
import { canonicalJson } from '../../../../../Kernel/contract/module/canonical-json.ts';

const text = fc.string({ unit: fc.constantFrom('a', 'b', '"', '\\', 'ä', '😀', '/', ' ') });
const value = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    text,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(text, tie('value'), { maxKeys: 4 }),
  ),
})).value;

const reversed = (json: unknown): unknown => {
  if (Array.isArray(json)) return json.map(reversed);
  if (typeof json !== 'object' || json === null) return json;
  return Object.fromEntries(
    Object.entries(json)
      .toReversed()
      .map(([name, member]) => [name, reversed(member)]),
  );
};

it('is JSON, and the same for every order of members', () => {
  fc.assert(
    fc.property(value, (json) => {
      const written = canonicalJson(json);
      expect(JSON.parse(written)).toEqual(JSON.parse(JSON.stringify(json)));
      expect(canonicalJson(reversed(json))).toBe(written);
    }),
  );
});

it('sorts members and uses no white space', () => {
  expect(canonicalJson({ b: [1, { d: null, c: true }], a: 'x"\\ä' })).toBe(
    '{"a":"x\\"\\\\ä","b":[1,{"c":true,"d":null}]}',
  );
});

it.each([
  [1.5],
  [Number.NaN],
  [2 ** 60],
  ['a\nb'],
  ['\u0000'],
  ['\ud83d'],
  [undefined],
  [{ a: undefined }],
  [1n],
  [() => 1],
])('refuses %s', (bad) => {
  expect(() => canonicalJson(bad)).toThrow(expect.objectContaining({ code: 'INVALID_PARAMS' }) as Error);
});
