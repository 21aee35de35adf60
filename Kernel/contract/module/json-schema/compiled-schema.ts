/** A checked schema as a tree of plain objects, made once and walked at each call. */

/** Bits of the JSON types; `integer` is a number without a fraction. */
export const TYPE_BITS = { null: 1, boolean: 2, string: 4, number: 8, integer: 16, array: 32, object: 64 } as const;

/** One schema object. Absent keywords are null, so that every node has the same shape for V8. */
export type SchemaNode = {
  /** True for `true`, `{}` and annotations only: accepts everything without a look. */
  trivial: boolean;
  /** True for `false`. */
  never: boolean;
  /** Type bits or'ed; 0: any. */
  types: number;
  ref: SchemaNode | null;
  enumeration: readonly unknown[] | null;
  properties: readonly (readonly [string, SchemaNode])[] | null;
  propertyNames: ReadonlySet<string> | null;
  required: readonly string[] | null;
  additional: SchemaNode | null;
  minProperties: number;
  maxProperties: number;
  prefixItems: readonly SchemaNode[] | null;
  items: SchemaNode | null;
  minItems: number;
  maxItems: number;
  uniqueItems: boolean;
  minimum: number;
  maximum: number;
  exclusiveMinimum: number;
  exclusiveMaximum: number;
  multipleOf: number;
  minLength: number;
  maxLength: number;
  anyOf: readonly SchemaNode[] | null;
  oneOf: readonly SchemaNode[] | null;
  allOf: readonly SchemaNode[] | null;
  not: SchemaNode | null;
};

/** What `compileSchema` returns and `validate` takes. */
export type CompiledSchema = { readonly root: SchemaNode };

/** One thing that does not fit; `pointer` is a JSON Pointer into the value ('' is the whole). */
export type SchemaIssue = { readonly pointer: string; readonly message: string };
export type ValidationResult = { readonly ok: true } | { readonly ok: false; readonly issues: readonly SchemaIssue[] };
