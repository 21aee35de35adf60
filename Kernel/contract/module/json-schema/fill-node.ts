/** Turns one written schema into a node, keyword by keyword, and notes every fault on the way. */
import { nearestKey } from '../../nearest-key.verdict.ts';
import { type SchemaNode, TYPE_BITS } from './compiled-schema.ts';
import { ANNOTATIONS, DIALECT, KEYWORDS, KNOWN_KEYWORDS, REFUSED } from './keywords.ts';

export const SCHEMA_LIMITS = { depth: 32, nodes: 2000, valueNodes: 2000, faults: 20 } as const;

/** One thing wrong with a schema; `path` leads into the schema. */
export type SchemaFault = {
  readonly path: readonly (string | number)[];
  readonly message: string;
  readonly expected: string;
  readonly suggestion?: string | undefined;
};

export type Path = readonly (string | number)[];
export type Compilation = {
  readonly faults: SchemaFault[];
  /** Nodes that `$ref` may name, made before they are filled so that a schema may contain itself. */
  readonly targets: Map<string, SchemaNode>;
  nodes: number;
  valueNodes: number;
};

const COUNTS = ['minProperties', 'maxProperties', 'minItems', 'maxItems', 'minLength', 'maxLength'] as const;
const BOUNDS = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'] as const;
const LISTS = ['anyOf', 'oneOf', 'allOf'] as const;

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const newNode = (): SchemaNode => ({
  trivial: false,
  never: false,
  types: 0,
  ref: null,
  enumeration: null,
  properties: null,
  propertyNames: null,
  required: null,
  additional: null,
  minProperties: 0,
  maxProperties: Infinity,
  prefixItems: null,
  items: null,
  minItems: 0,
  maxItems: Infinity,
  uniqueItems: false,
  minimum: -Infinity,
  maximum: Infinity,
  exclusiveMinimum: -Infinity,
  exclusiveMaximum: Infinity,
  multipleOf: 0,
  minLength: 0,
  maxLength: Infinity,
  anyOf: null,
  oneOf: null,
  allOf: null,
  not: null,
});

export const fault = (on: Compilation, path: Path, message: string, expected: string, suggestion?: string): void => {
  if (on.faults.length < SCHEMA_LIMITS.faults) on.faults.push({ path, message, expected, suggestion });
};

/** Fills a node from what was written, and everything below it. */
export const fill = (on: Compilation, node: SchemaNode, schema: unknown, path: Path, depth: number): SchemaNode => {
  on.nodes += 1;
  if (on.nodes > SCHEMA_LIMITS.nodes || depth > SCHEMA_LIMITS.depth) {
    if (on.nodes <= SCHEMA_LIMITS.nodes + 1)
      fault(on, path, 'the schema is too large', 'at most 32 levels and 2000 nodes');
    return node;
  }
  if (typeof schema === 'boolean') {
    node.trivial = schema;
    node.never = !schema;
    return node;
  }
  if (!isObject(schema)) {
    fault(on, path, 'this is not a schema', 'an object, true or false');
    return node;
  }
  let effective = 0;
  for (const key of Object.keys(schema)) {
    if (ANNOTATIONS.has(key)) continue;
    if (!KEYWORDS.has(key)) refuseKeyword(on, key, [...path, key]);
    else if (key !== '$defs' && key !== '$schema') effective += 1;
  }
  node.trivial = effective === 0;
  if (Object.hasOwn(schema, '$schema') && schema['$schema'] !== DIALECT)
    fault(on, [...path, '$schema'], 'unknown dialect', DIALECT);
  if (Object.hasOwn(schema, '$defs') && path.length > 0 && depth > 0)
    fault(on, [...path, '$defs'], '$defs stands at the top of a schema only', 'no $defs here');
  fillAny(on, node, schema, path);
  fillNumbers(on, node, schema, path);
  fillObject(on, node, schema, path, depth);
  fillArray(on, node, schema, path, depth);
  fillLogic(on, node, schema, path, depth);
  return node;
};

const refuseKeyword = (on: Compilation, key: string, path: Path): void => {
  const shown = JSON.stringify(key.slice(0, 80));
  const reason = REFUSED.get(key);
  if (reason !== undefined) fault(on, path, `the keyword ${shown} is not part of the subset`, reason);
  else
    fault(
      on,
      path,
      `unknown keyword ${shown}`,
      'a keyword of the documented subset of JSON Schema',
      nearestKey(key, KNOWN_KEYWORDS),
    );
};

const fillAny = (on: Compilation, node: SchemaNode, schema: Record<string, unknown>, path: Path): void => {
  if (Object.hasOwn(schema, 'type')) {
    const types: readonly unknown[] = Array.isArray(schema['type']) ? schema['type'] : [schema['type']];
    if (types.length === 0 || types.length > 7)
      fault(on, [...path, 'type'], 'a list of types has 1 to 7 of them', 'a type');
    for (const type of types.slice(0, 7)) {
      if (typeof type === 'string' && Object.hasOwn(TYPE_BITS, type))
        node.types |= TYPE_BITS[type as keyof typeof TYPE_BITS];
      else
        fault(
          on,
          [...path, 'type'],
          'unknown type',
          Object.keys(TYPE_BITS).join(', '),
          typeof type === 'string' ? nearestKey(type, Object.keys(TYPE_BITS)) : undefined,
        );
    }
  }
  if (Object.hasOwn(schema, 'const')) node.enumeration = [measured(on, schema['const'], [...path, 'const'])];
  if (Object.hasOwn(schema, 'enum')) {
    const values = schema['enum'];
    if (!Array.isArray(values) || values.length === 0)
      fault(on, [...path, 'enum'], 'enum is a list of values', 'at least one value');
    else if (node.enumeration !== null) fault(on, [...path, 'enum'], 'enum and const stand together', 'one of them');
    else node.enumeration = values.map((value) => measured(on, value, [...path, 'enum']));
  }
  if (Object.hasOwn(schema, '$ref')) {
    const ref = schema['$ref'];
    const target = typeof ref === 'string' ? on.targets.get(ref) : undefined;
    if (target === undefined)
      fault(on, [...path, '$ref'], '$ref names no definition of this schema', '# or #/$defs/NAME');
    else node.ref = target;
  }
};

/** Values that are compared at each call are bounded too. */
const measured = (on: Compilation, value: unknown, path: Path): unknown => {
  const walk = (part: unknown, depth: number): boolean => {
    on.valueNodes += 1;
    if (on.valueNodes > SCHEMA_LIMITS.valueNodes || depth > SCHEMA_LIMITS.depth) return false;
    if (typeof part === 'number') return Number.isFinite(part);
    if (Array.isArray(part)) return part.every((item) => walk(item, depth + 1));
    if (isObject(part)) return Object.values(part).every((item) => walk(item, depth + 1));
    return part === null || typeof part === 'string' || typeof part === 'boolean';
  };
  if (walk(value, 0)) return value;
  fault(on, path, 'the values are too large or not JSON', 'at most 32 levels and 2000 values in all');
  return null;
};

const fillNumbers = (on: Compilation, node: SchemaNode, schema: Record<string, unknown>, path: Path): void => {
  for (const key of COUNTS) {
    if (!Object.hasOwn(schema, key)) continue;
    const value = schema[key];
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) node[key] = value;
    else fault(on, [...path, key], `${key} is a count`, 'a whole number, 0 or more');
  }
  for (const key of BOUNDS) {
    if (!Object.hasOwn(schema, key)) continue;
    const value = schema[key];
    if (typeof value === 'number' && Number.isFinite(value)) node[key] = value;
    else fault(on, [...path, key], `${key} is a number`, 'a number');
  }
  if (Object.hasOwn(schema, 'multipleOf')) {
    const value = schema['multipleOf'];
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) node.multipleOf = value;
    else fault(on, [...path, 'multipleOf'], 'multipleOf is a number above 0', 'a number above 0');
  }
};

const fillObject = (
  on: Compilation,
  node: SchemaNode,
  schema: Record<string, unknown>,
  path: Path,
  depth: number,
): void => {
  if (Object.hasOwn(schema, 'properties')) {
    const properties = schema['properties'];
    if (!isObject(properties)) fault(on, [...path, 'properties'], 'properties is an object', 'name: schema');
    else {
      node.properties = Object.keys(properties)
        .slice(0, SCHEMA_LIMITS.nodes + 1)
        .map(
          (name) => [name, fill(on, newNode(), properties[name], [...path, 'properties', name], depth + 1)] as const,
        );
      node.propertyNames = new Set(Object.keys(properties));
    }
  }
  if (Object.hasOwn(schema, 'required')) {
    const required = schema['required'];
    const names = Array.isArray(required) ? required.filter((name) => typeof name === 'string') : [];
    if (
      !Array.isArray(required) ||
      names.length !== required.length ||
      names.length > SCHEMA_LIMITS.nodes ||
      new Set(names).size !== names.length
    ) {
      fault(on, [...path, 'required'], 'required is a list of names', 'each name once');
    } else node.required = names;
  }
  if (Object.hasOwn(schema, 'additionalProperties')) {
    node.additional = fill(on, newNode(), schema['additionalProperties'], [...path, 'additionalProperties'], depth + 1);
  }
};

const fillList = (on: Compilation, list: unknown, path: Path, depth: number): readonly SchemaNode[] => {
  if (!Array.isArray(list) || list.length === 0) {
    fault(on, path, 'a list of schemas', 'at least one schema');
    return [];
  }
  return list
    .slice(0, SCHEMA_LIMITS.nodes + 1)
    .map((item, index) => fill(on, newNode(), item, [...path, index], depth + 1));
};

const fillArray = (
  on: Compilation,
  node: SchemaNode,
  schema: Record<string, unknown>,
  path: Path,
  depth: number,
): void => {
  if (Object.hasOwn(schema, 'items')) node.items = fill(on, newNode(), schema['items'], [...path, 'items'], depth + 1);
  if (Object.hasOwn(schema, 'prefixItems'))
    node.prefixItems = fillList(on, schema['prefixItems'], [...path, 'prefixItems'], depth);
  if (!Object.hasOwn(schema, 'uniqueItems')) return;
  if (typeof schema['uniqueItems'] === 'boolean') node.uniqueItems = schema['uniqueItems'];
  else fault(on, [...path, 'uniqueItems'], 'uniqueItems is true or false', 'true or false');
};

const fillLogic = (
  on: Compilation,
  node: SchemaNode,
  schema: Record<string, unknown>,
  path: Path,
  depth: number,
): void => {
  for (const key of LISTS) {
    if (Object.hasOwn(schema, key)) node[key] = fillList(on, schema[key], [...path, key], depth);
  }
  if (Object.hasOwn(schema, 'not')) node.not = fill(on, newNode(), schema['not'], [...path, 'not'], depth + 1);
};
