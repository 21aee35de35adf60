/** Finds schemas that refer to themselves for the same value, as `{ "$ref": "#" }`. */
import type { SchemaNode } from './compiled-schema.ts';

const sameValue = (node: SchemaNode): readonly SchemaNode[] => [
  ...(node.ref === null ? [] : [node.ref]),
  ...(node.not === null ? [] : [node.not]),
  ...(node.anyOf ?? []),
  ...(node.oneOf ?? []),
  ...(node.allOf ?? []),
];

/**
 * True when a circle can be reached. Every circle leads through a `$ref`, so it is enough to start at what
 * a `$ref` may name. Depth is bounded: 32 levels between references, and each node is entered once.
 */
export const findCircle = (targets: readonly SchemaNode[]): boolean => {
  const done = new Set<SchemaNode>();
  const open = new Set<SchemaNode>();
  const visit = (node: SchemaNode): boolean => {
    if (open.has(node)) return true;
    if (done.has(node)) return false;
    open.add(node);
    const found = sameValue(node).some(visit);
    open.delete(node);
    done.add(node);
    return found;
  };
  return targets.some(visit);
};
