/** A deliberately dumb second implementation of the subset: no budget, no order of cheapness, straight from the specification. */
type Json = unknown;
type Obj = Record<string, Json>;
const isObj = (v: Json): v is Obj => typeof v === 'object' && v !== null && !Array.isArray(v);

const same = (a: Json, b: Json): boolean => {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((x, i) => same(x, b[i]));
  if (isObj(a) && isObj(b)) {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...keys].every((k) => Object.hasOwn(a, k) && Object.hasOwn(b, k) && same(a[k], b[k]));
  }
  return a === b;
};

const hasType = (v: Json, type: string): boolean => {
  if (type === 'null') return v === null;
  if (type === 'array') return Array.isArray(v);
  if (type === 'object') return isObj(v);
  if (type === 'integer') return typeof v === 'number' && v % 1 === 0;
  return typeof v === type;
};

export const dumbValidate = (schema: Json, v: Json, root: Json = schema): boolean => {
  if (typeof schema === 'boolean') return schema;
  const s = schema as Obj;
  const has = (key: string): boolean => Object.hasOwn(s, key);
  const list = (key: string): Json[] => s[key] as Json[];
  const num = (key: string): number => s[key] as number;
  const sub = (part: Json, value: Json): boolean => dumbValidate(part, value, root);
  if (has('$ref')) {
    const name = (s['$ref'] as string).slice('#/$defs/'.length);
    if (!sub(s['$ref'] === '#' ? root : ((root as Obj)['$defs'] as Obj)[name], v)) return false;
  }
  if (has('type') && ![s['type']].flat().some((type) => hasType(v, type as string))) return false;
  if (has('const') && !same(s['const'], v)) return false;
  if (has('enum') && !list('enum').some((allowed) => same(allowed, v))) return false;
  if (typeof v === 'number') {
    if (has('minimum') && !(v >= num('minimum'))) return false;
    if (has('maximum') && !(v <= num('maximum'))) return false;
    if (has('exclusiveMinimum') && !(v > num('exclusiveMinimum'))) return false;
    if (has('exclusiveMaximum') && !(v < num('exclusiveMaximum'))) return false;
    if (has('multipleOf') && v % num('multipleOf') !== 0) return false;
  }
  if (typeof v === 'string') {
    const length = Array.from(v).length;
    if (has('minLength') && length < num('minLength')) return false;
    if (has('maxLength') && length > num('maxLength')) return false;
  }
  if (Array.isArray(v)) {
    const prefix = has('prefixItems') ? list('prefixItems') : [];
    if (has('minItems') && v.length < num('minItems')) return false;
    if (has('maxItems') && v.length > num('maxItems')) return false;
    if (s['uniqueItems'] === true && v.some((x, i) => v.some((y, j) => i < j && same(x, y)))) return false;
    for (const [i, x] of v.entries()) {
      if (i < prefix.length) {
        if (!sub(prefix[i], x)) return false;
      } else if (has('items') && !sub(s['items'], x)) return false;
    }
  }
  if (isObj(v)) {
    const keys = Object.keys(v);
    const properties = has('properties') ? (s['properties'] as Obj) : {};
    if (has('minProperties') && keys.length < num('minProperties')) return false;
    if (has('maxProperties') && keys.length > num('maxProperties')) return false;
    if (has('required') && !list('required').every((key) => Object.hasOwn(v, key as string))) return false;
    for (const key of keys) {
      if (Object.hasOwn(properties, key)) {
        if (!sub(properties[key], v[key])) return false;
      } else if (has('additionalProperties') && !sub(s['additionalProperties'], v[key])) return false;
    }
  }
  if (has('allOf') && !list('allOf').every((part) => sub(part, v))) return false;
  if (has('anyOf') && !list('anyOf').some((part) => sub(part, v))) return false;
  if (has('oneOf') && list('oneOf').filter((part) => sub(part, v)).length !== 1) return false;
  return !(has('not') && sub(s['not'], v));
};
