/** Checks the dry-run cases of a manifest against the functions it declares. */
import { compileSchema } from './json-schema/compile.ts';
import { validate } from './json-schema/validate.ts';
import type { Path } from './manifest-source.ts';

type Case = { readonly function: string; readonly params: unknown; readonly result?: unknown };
type Functions = Readonly<Record<string, { readonly params: unknown; readonly result: unknown }>>;
type Fault = { readonly path: Path; readonly message: string; readonly expected: string };

const unfit = (path: Path, schema: unknown, value: unknown): Fault[] => {
  const outcome = validate(compileSchema(schema), value);
  if (outcome.ok) return [];
  return outcome.issues.slice(0, 5).map(({ pointer, message }) => ({
    path,
    message: `${pointer || 'the value'}: ${message}`,
    expected: 'what the function declares',
  }));
};

/** Faults of all cases; a case that its own function would refuse could only ever fail. */
export const checkDryRunCases = (cases: readonly Case[], functions: Functions): Fault[] =>
  cases.flatMap((dryRun, index) => {
    const declared = Object.hasOwn(functions, dryRun.function) ? functions[dryRun.function] : undefined;
    if (declared === undefined) {
      const expected = `one of ${Object.keys(functions).join(', ') || '(none declared)'}`;
      return [{ path: ['dryRun', index, 'function'], message: `no function ${dryRun.function} is declared`, expected }];
    }
    return [
      ...unfit(['dryRun', index, 'params'], declared.params, dryRun.params),
      ...(Object.hasOwn(dryRun, 'result') ? unfit(['dryRun', index, 'result'], declared.result, dryRun.result) : []),
    ];
  });
