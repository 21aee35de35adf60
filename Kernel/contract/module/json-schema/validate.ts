/**
 * Checks a value against a compiled schema by walking both, with a budget of steps (DESIGN section 7).
 *
 * Schema and value may both come from an enemy. Time is bounded by the budget, whatever they are; the depth
 * of the walk by `MAX_DEPTH`; the size of the answer by `MAX_ISSUES`. A value whose check did not end within
 * the budget is not valid.
 */
import {
  type CompiledSchema,
  type SchemaIssue,
  type SchemaNode,
  TYPE_BITS,
  type ValidationResult,
} from './compiled-schema.ts';
import { canonicalKey, deepEqual } from './compare.ts';
import { describeTypes, quote, showValue, toPointer } from './describe.ts';

/** Steps for one value: about 15 ms, and 40 ms where items must differ. A step is a node, a member, or 64 characters. */
export const DEFAULT_BUDGET = 250_000;
export const MAX_DEPTH = 256;
export const MAX_ISSUES = 20;

/** Steps left, and, on the second walk, what is wrong so far. */
export type Walk = {
  steps: number;
  /** Null on the first walk, which only asks whether: most values fit, and then no path is ever built. */
  issues: SchemaIssue[] | null;
  readonly path: (string | number)[];
};

const VALID: ValidationResult = { ok: true };

/** Tells whether the value fits and, if not, why (at most 20 issues; the texts are bounded). */
export const validate = (schema: CompiledSchema, value: unknown, budget = DEFAULT_BUDGET): ValidationResult => {
  if (schema.root.trivial) return VALID;
  const walk: Walk = { steps: budget, issues: null, path: [] };
  if (check(schema.root, value, walk, 0) && walk.steps >= 0) return VALID;
  if (walk.steps < 0)
    return {
      ok: false,
      issues: [{ pointer: '', message: 'the value is too large or deep to check within the budget' }],
    };
  walk.steps = budget;
  const issues: SchemaIssue[] = [];
  walk.issues = issues;
  check(schema.root, value, walk, 0);
  return { ok: false, issues: issues.length > 0 ? issues : [{ pointer: '', message: 'does not fit its schema' }] };
};

const fail = (walk: Walk, message: () => string): false => {
  if (walk.issues !== null && walk.issues.length < MAX_ISSUES) {
    walk.issues.push({ pointer: toPointer(walk.path), message: message() });
  }
  return false;
};

/** While searching for issues all parts are looked at; while only asking, the first failure ends the walk. */
const goesOn = (walk: Walk): boolean => walk.issues !== null && walk.issues.length < MAX_ISSUES && walk.steps >= 0;

const check = (node: SchemaNode, value: unknown, walk: Walk, depth: number): boolean => {
  if (node.trivial) return true;
  walk.steps -= 1;
  if (depth > MAX_DEPTH) walk.steps = -1;
  if (walk.steps < 0) return false;
  if (node.never) return fail(walk, () => 'nothing is allowed here');
  if (node.types !== 0 && (typeBits(value) & node.types) === 0) {
    return fail(walk, () => `expected ${describeTypes(node.types)}, found ${showValue(value)}`);
  }
  if (node.enumeration !== null && !node.enumeration.some((allowed) => deepEqual(allowed, value, walk))) {
    const allowed = node.enumeration;
    return fail(walk, () => `expected ${allowed.slice(0, 8).map(quote).join(' or ')}${allowed.length > 8 ? ' …' : ''}`);
  }
  let fits = true;
  if (typeof value === 'string') fits = checkString(node, value, walk);
  else if (typeof value === 'number') fits = checkNumber(node, value, walk);
  else if (Array.isArray(value)) fits = checkArray(node, value, walk, depth);
  else if (typeof value === 'object' && value !== null)
    fits = checkObject(node, value as Record<string, unknown>, walk, depth);
  if (!fits && !goesOn(walk)) return false;
  return checkLogic(node, value, walk, depth) && fits;
};

const typeBits = (value: unknown): number => {
  switch (typeof value) {
    case 'string':
      return TYPE_BITS.string;
    case 'boolean':
      return TYPE_BITS.boolean;
    case 'number':
      return Number.isInteger(value)
        ? TYPE_BITS.number | TYPE_BITS.integer
        : Number.isFinite(value)
          ? TYPE_BITS.number
          : 0;
    case 'object':
      return value === null ? TYPE_BITS.null : Array.isArray(value) ? TYPE_BITS.array : TYPE_BITS.object;
    default:
      return 0;
  }
};

const checkString = (node: SchemaNode, text: string, walk: Walk): boolean => {
  const { minLength, maxLength } = node;
  if (minLength === 0 && maxLength === Infinity) return true;
  // A code point is one or two units: most texts are decided without counting.
  const units = text.length;
  if (units <= maxLength && units >= minLength * 2) return true;
  walk.steps -= units >>> 6;
  if (walk.steps < 0) return false;
  let length = units;
  for (let index = 0; index < units - 1; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit < 0xd800 || unit > 0xdbff) continue;
    const next = text.charCodeAt(index + 1);
    if (next < 0xdc00 || next > 0xdfff) continue;
    length -= 1;
    index += 1;
  }
  if (length < minLength) return fail(walk, () => `expected at least ${minLength} characters, found ${length}`);
  if (length > maxLength) return fail(walk, () => `expected at most ${maxLength} characters, found ${length}`);
  return true;
};

const checkNumber = (node: SchemaNode, value: number, walk: Walk): boolean => {
  if (value < node.minimum) return fail(walk, () => `expected at least ${node.minimum}, found ${value}`);
  if (value > node.maximum) return fail(walk, () => `expected at most ${node.maximum}, found ${value}`);
  if (value <= node.exclusiveMinimum)
    return fail(walk, () => `expected more than ${node.exclusiveMinimum}, found ${value}`);
  if (value >= node.exclusiveMaximum)
    return fail(walk, () => `expected less than ${node.exclusiveMaximum}, found ${value}`);
  if (node.multipleOf === 0 || value % node.multipleOf === 0) return true;
  // 0.3 is a multiple of 0.1 although binary fractions say no.
  const quotient = value / node.multipleOf;
  if (Math.abs(quotient - Math.round(quotient)) <= Number.EPSILON * Math.abs(quotient) * 2) return true;
  return fail(walk, () => `expected a multiple of ${node.multipleOf}, found ${value}`);
};

const checkArray = (node: SchemaNode, items: readonly unknown[], walk: Walk, depth: number): boolean => {
  const { length } = items;
  if (length < node.minItems) return fail(walk, () => `expected at least ${node.minItems} items, found ${length}`);
  if (length > node.maxItems) return fail(walk, () => `expected at most ${node.maxItems} items, found ${length}`);
  const prefix = node.prefixItems?.length ?? 0;
  const rest = node.items === null || node.items.trivial ? null : node.items;
  const end = rest === null ? Math.min(length, prefix) : length;
  let fits = true;
  for (let index = 0; index < end; index += 1) {
    const schema = index < prefix ? node.prefixItems?.[index] : rest;
    if (schema === null || schema === undefined || checkMember(schema, items[index], index, walk, depth)) continue;
    fits = false;
    if (!goesOn(walk)) return false;
  }
  return (!node.uniqueItems || checkUnique(items, walk)) && fits;
};

const checkUnique = (items: readonly unknown[], walk: Walk): boolean => {
  const seen = new Set<string>();
  for (const [index, item] of items.entries()) {
    // Writing and remembering a key costs several times a look at a node.
    walk.steps -= 4;
    const key = canonicalKey(item, walk);
    if (walk.steps < 0) return false;
    if (seen.has(key)) return fail(walk, () => `item ${index} stands here twice`);
    seen.add(key);
  }
  return true;
};

const checkObject = (node: SchemaNode, value: Record<string, unknown>, walk: Walk, depth: number): boolean => {
  let fits = true;
  for (const name of node.required ?? []) {
    walk.steps -= 1;
    if (Object.hasOwn(value, name)) continue;
    fits = fail(walk, () => `${quote(name)} is missing`);
    if (!goesOn(walk)) return false;
  }
  for (const [name, schema] of node.properties ?? []) {
    walk.steps -= 1;
    if (!Object.hasOwn(value, name) || checkMember(schema, value[name], name, walk, depth)) continue;
    fits = false;
    if (!goesOn(walk)) return false;
  }
  const { additional, propertyNames } = node;
  const counted = node.minProperties > 0 || node.maxProperties !== Infinity;
  if (!counted && (additional === null || additional.trivial)) return fits;
  const names = Object.keys(value);
  walk.steps -= names.length;
  if (walk.steps < 0) return false;
  if (names.length < node.minProperties)
    return fail(walk, () => `expected at least ${node.minProperties} members, found ${names.length}`);
  if (names.length > node.maxProperties)
    return fail(walk, () => `expected at most ${node.maxProperties} members, found ${names.length}`);
  if (additional === null || additional.trivial) return fits;
  for (const name of names) {
    if (propertyNames?.has(name) === true) continue;
    if (additional.never) fits = fail(walk, () => `${quote(name)} is not a known member`);
    else if (checkMember(additional, value[name], name, walk, depth)) continue;
    else fits = false;
    if (!goesOn(walk)) return false;
  }
  return fits;
};

const checkMember = (schema: SchemaNode, value: unknown, step: string | number, walk: Walk, depth: number): boolean => {
  if (walk.issues === null) return check(schema, value, walk, depth + 1);
  walk.path.push(step);
  const fits = check(schema, value, walk, depth + 1);
  walk.path.pop();
  return fits;
};

/** Branches are asked silently: why each of five alternatives failed helps nobody. */
const asks = (node: SchemaNode, value: unknown, walk: Walk, depth: number): boolean => {
  const { issues } = walk;
  walk.issues = null;
  const fits = check(node, value, walk, depth + 1);
  walk.issues = issues;
  return fits;
};

const checkLogic = (node: SchemaNode, value: unknown, walk: Walk, depth: number): boolean => {
  if (node.ref !== null && !check(node.ref, value, walk, depth + 1)) return false;
  for (const part of node.allOf ?? []) {
    if (!check(part, value, walk, depth + 1)) return false;
  }
  if (node.anyOf !== null && !node.anyOf.some((part) => asks(part, value, walk, depth))) {
    return fail(walk, () => 'fits none of the alternatives');
  }
  if (node.oneOf !== null) {
    let matches = 0;
    for (const part of node.oneOf) if (asks(part, value, walk, depth)) matches += 1;
    if (matches !== 1) return fail(walk, () => `fits ${matches} of the alternatives, expected exactly one`);
  }
  // Out of budget inside `not` reads as "does not fit", which would turn into "fits" here.
  if (node.not !== null && (asks(node.not, value, walk, depth) || walk.steps < 0))
    return fail(walk, () => 'is what the schema excludes');
  return walk.steps >= 0;
};
