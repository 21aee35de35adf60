/**
 * Counts a JSON report of vitest.
 *
 * A skipped test counts as failed: something that could not run was not shown to work. So does a
 * file that could not be loaded, which holds no test that could say so.
 *
 * @returns {{ passed: number, failed: number, notes: string[] }}
 */
export function countTests(report) {
  const notes = [];
  let passed = 0;
  let failed = 0;
  for (const file of report.testResults) {
    const broken = file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed');
    if (broken) {
      failed += 1;
      notes.push(`${file.name} did not run as a whole: ${file.message?.split('\n', 1)[0] ?? 'no reason given'}`);
    }
    for (const { status, fullName } of file.assertionResults) {
      if (status === 'passed') passed += 1;
      else failed += 1;
      if (status !== 'passed' && status !== 'failed') notes.push(`${fullName} was not run (${status})`);
    }
  }
  return { passed, failed, notes };
}
