/** Equality of JSON values, charged to a budget. */

type Budget = { steps: number };

/** Equality of JSON Schema (2020-12, section 4.2.2): by value, objects without order; false when over budget. */
export const deepEqual = (a: unknown, b: unknown, budget: Budget): boolean => {
  budget.steps -= 1;
  if (budget.steps < 0) return false;
  if (a === b) {
    // Equal texts are compared to their end.
    if (typeof a === 'string') budget.steps -= a.length >>> 6;
    return true;
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => deepEqual(item, b[index], budget));
  }
  if (Array.isArray(b)) return false;
  const names = Object.keys(a);
  const others = Object.keys(b).length;
  // Counting the members of a huge value is work too, and an enum may ask for it two thousand times.
  budget.steps -= others;
  if (names.length !== others) return false;
  return names.every(
    (name) =>
      Object.hasOwn(b, name) &&
      deepEqual((a as Record<string, unknown>)[name], (b as Record<string, unknown>)[name], budget),
  );
};

/** A text that two values share exactly when they are equal; '' and negative steps when over budget. */
export const canonicalKey = (value: unknown, budget: Budget, depth = 0): string => {
  budget.steps -= 1;
  if (depth > 256) budget.steps = -1;
  if (budget.steps < 0) return '';
  if (typeof value === 'string') {
    budget.steps -= value.length >>> 6;
    return budget.steps < 0 ? '' : JSON.stringify(value);
  }
  if (Array.isArray(value))
    return `[${joinParts(value.length, (index) => canonicalKey(value[index], budget, depth + 1), budget)}]`;
  if (typeof value === 'object' && value !== null) {
    const names = Object.keys(value);
    budget.steps -= names.length;
    if (budget.steps < 0) return '';
    names.sort();
    const member = (index: number): string => {
      const name = names[index] ?? '';
      return `${JSON.stringify(name)}:${canonicalKey((value as Record<string, unknown>)[name], budget, depth + 1)}`;
    };
    return `{${joinParts(names.length, member, budget)}}`;
  }
  // -0 and 0 are the same number in JSON.
  return value === 0 ? '0' : String(value);
};

const joinParts = (count: number, part: (index: number) => string, budget: Budget): string => {
  const parts: string[] = [];
  for (let index = 0; index < count && budget.steps >= 0; index += 1) parts.push(part(index));
  return parts.join(',');
};
