import { expect, test } from 'vitest';
import { countTests } from '../../../scripts/lib/vitest-report.mjs';

const file = (status: string, ...tests: string[]) => ({
  name: 'a.test.ts',
  status,
  message: 'it broke\nat line 1',
  assertionResults: tests.map((result, index) => ({ status: result, fullName: `test ${index}` })),
});

test('passed and failed tests are counted over all files', () => {
  const report = { testResults: [file('failed', 'passed', 'failed'), file('passed', 'passed')] };
  expect(countTests(report)).toEqual({ passed: 2, failed: 1, notes: [] });
});

test('a test that was skipped or left to do counts as failed, and is named', () => {
  const report = { testResults: [file('passed', 'passed', 'skipped', 'todo')] };
  expect(countTests(report)).toEqual({
    passed: 1,
    failed: 2,
    notes: ['test 1 was not run (skipped)', 'test 2 was not run (todo)'],
  });
});

test('a file that could not be loaded counts as one failure, with its reason', () => {
  expect(countTests({ testResults: [file('failed')] })).toEqual({
    passed: 0,
    failed: 1,
    notes: ['a.test.ts did not run as a whole: it broke'],
  });
});
