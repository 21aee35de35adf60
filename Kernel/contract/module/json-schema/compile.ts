/**
 * Checks a schema of the documented subset of JSON Schema 2020-12 and makes it usable.
 *
 * Subset: `type` (one or a list), `enum`, `const`, `properties`, `required`, `additionalProperties`,
 * `minProperties`, `maxProperties`, `items`, `prefixItems`, `minItems`, `maxItems`, `uniqueItems`, `minimum`,
 * `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf`, `minLength`, `maxLength`, `anyOf`, `oneOf`,
 * `allOf`, `not`, `$defs` at the top, `$ref` to `#` and `#/$defs/NAME`; annotations are allowed and ignored.
 * No `pattern`, no `format`, no `$ref` to elsewhere. At most 32 levels and 2,000 nodes.
 */
import { KernelError } from '../../errors.ts';
import type { CompiledSchema, SchemaNode } from './compiled-schema.ts';
import {
  type Compilation,
  fault,
  fill,
  isObject,
  newNode,
  type Path,
  SCHEMA_LIMITS,
  type SchemaFault,
} from './fill-node.ts';
import { findCircle } from './find-circle.ts';

const compile = (schema: unknown): { readonly root: SchemaNode; readonly faults: readonly SchemaFault[] } => {
  const root = newNode();
  const on: Compilation = { faults: [], targets: new Map([['#', root]]), nodes: 0, valueNodes: 0 };
  const defs = isObject(schema) && Object.hasOwn(schema, '$defs') ? schema['$defs'] : {};
  if (!isObject(defs)) fault(on, ['$defs'], '$defs is an object', 'name: schema');
  const names = isObject(defs) ? Object.keys(defs).slice(0, SCHEMA_LIMITS.nodes + 1) : [];
  // In a pointer ~ and / are written ~0 and ~1 (RFC 6901, section 3).
  for (const name of names) on.targets.set(`#/$defs/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, newNode());
  fill(on, root, schema, [], 0);
  for (const [index, node] of [...on.targets.values()].slice(1).entries()) {
    const name = names[index] ?? '';
    fill(on, node, isObject(defs) ? defs[name] : undefined, ['$defs', name], 1);
  }
  // A schema that asks itself about the same value has no answer; one that asks about a part of it has.
  if (on.faults.length === 0 && findCircle([...on.targets.values()]))
    fault(on, [], 'the schema refers to itself without end', '$ref below properties or items');
  return { root, faults: on.faults };
};

/** All that is wrong with a schema; empty when `compileSchema` would take it. */
export const findSchemaFaults = (schema: unknown): readonly SchemaFault[] => compile(schema).faults;

const toPointer = (path: Path): string =>
  path
    .map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`)
    .join('')
    .slice(0, 300);

/**
 * Makes a schema usable by `validate`.
 *
 * @throws KernelError `MODULE_INVALID`; the message and `context.issues` name pointers into the schema
 */
export const compileSchema = (schema: unknown): CompiledSchema => {
  const { root, faults } = compile(schema);
  const first = faults[0];
  if (first === undefined) return { root };
  throw new KernelError(
    'MODULE_INVALID',
    `schema at ${toPointer(first.path) || '/'}: ${first.message}; expected ${first.expected}`,
    {
      context: {
        issues: faults.map(({ path, message, expected }) => ({ pointer: toPointer(path), message, expected })),
      },
    },
  );
};
