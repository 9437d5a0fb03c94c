import { relative } from 'node:path';
import { run } from 'node:test';
import { inspect } from 'node:util';
import { root } from './workspace.mjs';

/** Two cores are what CI machines have; more at once makes tests with deadlines wait for each other. */
const FILES_AT_ONCE = 2;
/** A file that takes longer hangs. */
const FILE_MS_MAX = 4 * 60_000;
const LONG_FILE_MS_MAX = 60 * 60_000;

/**
 * Runs test files, each in a process of its own. One line a file with its counts and duration, and every failed test
 * in full. @returns the counts of tests
 */
export async function runTestFiles(files) {
  const failures = [];
  let totals = { passed: 0, failed: 0 };
  const isLong = files.some((file) => relative(root, file).startsWith('tests/long/'));
  const timeout = isLong ? LONG_FILE_MS_MAX : FILE_MS_MAX;
  const events = run({ files, concurrency: FILES_AT_ONCE, timeout, cwd: root });
  events.on('test:fail', (failure) => {
    // A suite fails because a test in it does, and that one is told already.
    if (failure.details.error.failureType !== 'subtestsFailed') failures.push(failure);
  });
  events.on('test:stderr', ({ message }) => process.stderr.write(message));
  events.on('test:summary', ({ file, counts, duration_ms }) => {
    const failed = counts.failed + counts.cancelled;
    if (file === undefined) {
      totals = { passed: counts.passed, failed };
      return;
    }
    const mark = failed === 0 ? 'passed' : 'FAILED';
    const parts = [
      `${counts.passed} passed`,
      failed > 0 && `${failed} failed`,
      counts.skipped > 0 && `${counts.skipped} skipped`,
    ];
    const seconds = (duration_ms / 1_000).toFixed(1);
    process.stdout.write(
      `${mark}   ${relative(root, file)}   ${parts.filter(Boolean).join(', ')}   ${seconds} s\n`,
    );
  });
  for await (const _ of events) {
    // Reading to the end is what makes it run.
  }
  for (const { name, file, line, details } of failures) {
    const where = file === undefined ? '' : ` (${relative(root, file)}:${line})`;
    process.stdout.write(`\nFAILED   ${name}${where}\n${inspect(details.error.cause ?? details.error)}\n`);
  }
  return totals;
}
