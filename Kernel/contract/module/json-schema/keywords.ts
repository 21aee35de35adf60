/** The keywords of the subset, and why the others are not in it. */

/** Keywords that say nothing about validity; allowed and not looked at. */
export const ANNOTATIONS: ReadonlySet<string> = new Set([
  'title',
  'description',
  'default',
  'examples',
  '$comment',
  'deprecated',
]);

/** Keywords with an effect. */
export const KEYWORDS: ReadonlySet<string> = new Set([
  'type',
  'enum',
  'const',
  '$ref',
  '$defs',
  '$schema',
  'properties',
  'required',
  'additionalProperties',
  'minProperties',
  'maxProperties',
  'prefixItems',
  'items',
  'minItems',
  'maxItems',
  'uniqueItems',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'anyOf',
  'oneOf',
  'allOf',
  'not',
]);

export const KNOWN_KEYWORDS: readonly string[] = [...KEYWORDS, ...ANNOTATIONS];
export const DIALECT = 'https://json-schema.org/draft/2020-12/schema';

/** What a refused keyword should become; the reader of the fault did nothing unusual, so he gets a reason. */
export const REFUSED: ReadonlyMap<string, string> = new Map([
  ['pattern', 'use enum or maxLength: a regular expression of a stranger can take forever'],
  ['patternProperties', 'use properties and additionalProperties: a regular expression of a stranger can take forever'],
  ['format', 'check the format in the function: implementations differ in what a format accepts'],
  ['nullable', 'write type: [string, "null"]'],
  ['definitions', 'write $defs'],
  ['$id', 'use $defs and $ref: "#/$defs/name"'],
  ['$anchor', 'use $defs and $ref: "#/$defs/name"'],
  ['$dynamicRef', 'use $ref: "#/$defs/name"'],
  ['if', 'use anyOf'],
  ['dependentRequired', 'use anyOf'],
  ['contains', 'use items'],
  ['unevaluatedProperties', 'use additionalProperties'],
]);
