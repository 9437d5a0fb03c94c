import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Mutation } from './mutation.ts';
import { MUTATIONS } from './mutations.ts';

/**
 * Applies every mutation in turn, runs the test that must notice, and puts the file back. Exits 1 when a mutation
 * survives or a test is red without one. `--only TEXT` picks those whose step or file holds the text;
 * `--list` prints them as the table of docs/mutations.md.
 */
const ROOT = join(import.meta.dirname, '../..');
const TEST_MS_MAX = 180_000;

const { values } = parseArgs({ options: { only: { type: 'string' }, list: { type: 'boolean' } } });
if (values.list) {
  for (const { step, breaks, test, testFile } of MUTATIONS) {
    process.stdout.write(`| ${step} | ${breaks} | \`${testFile}\`: ${test} |\n`);
  }
  process.exit(0);
}
const chosen = MUTATIONS.filter(
  ({ step, file }) => values.only === undefined || `${step} ${file}`.includes(values.only),
);

let undo = () => {};
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    undo();
    process.exit(130);
  });
}

let killed = 0;
let survived = 0;
for (const mutation of chosen) {
  const noticed = await isNoticed(mutation);
  if (noticed) killed += 1;
  else survived += 1;
  process.stdout.write(
    `${noticed ? 'red ' : 'SURVIVED'}  ${mutation.step.padEnd(9)} ${mutation.breaks}  [${mutation.test}]\n`,
  );
}
process.stdout.write(`${killed} mutations noticed, ${survived} survived\n`);
process.exitCode = survived === 0 ? 0 : 1;

async function isNoticed(mutation: Mutation): Promise<boolean> {
  const path = join(ROOT, mutation.file);
  const original = readFileSync(path, 'utf8');
  const parts = original.split(mutation.from);
  if (parts.length !== 2)
    throw new Error(`${mutation.file} has "${mutation.from}" ${parts.length - 1} times`);
  undo = () => writeFileSync(path, original);
  try {
    writeFileSync(path, parts.join(mutation.to));
    return (await runTest(mutation)) === 'red';
  } finally {
    undo();
    undo = () => {};
  }
}

/** A run that finds no test of the name would look like a survivor, and one that hangs is red. */
function runTest({ testFile, test }: Mutation): Promise<'red' | 'green'> {
  const pattern = test.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      ['--test', '--test-reporter=tap', '--test-name-pattern', pattern, join(ROOT, testFile)],
      { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'], detached: true },
    );
    let output = '';
    child.stdout.on('data', (bytes: Buffer) => {
      output += bytes.toString();
    });
    const timer = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), TEST_MS_MAX);
    child.on('close', (code) => {
      clearTimeout(timer);
      if (code === 0 && !/^# pass [1-9]/m.test(output))
        reject(new Error(`${testFile} has no test "${test}"`));
      else resolve(code === 0 ? 'green' : 'red');
    });
  });
}
