/**
 * Everything that must hold, under Node 24: the static checks, the tests, and how much of the code they run.
 *
 *   npm test                                   all of it
 *   npm test -- --only static|unit|integration only that part (unit: beside the sources, integration: tests/)
 *   npm test -- path/to/file.test.ts …         only these tests
 *   npm run test:long                          the long tests, which `npm test` leaves out
 *
 * Ends with `N passed, N failed` (tests) on a line of its own; the exit code is 0 when nothing failed.
 */
import { globSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { locateRedis } from '../packages/local/src/redis-locate.ts';
import { coverageDir, coverageStep } from './coverage.mjs';
import { runSteps, staticSteps } from './static-steps.mjs';
import { runTestFiles } from './test-files.mjs';
import { root } from './workspace.mjs';

const UNIT = ['packages/**/src/**/*.test.ts', 'apps/**/src/**/*.test.ts'];
const LONG = ['tests/long/**/*.test.ts'];
const FILES = {
  unit: UNIT,
  integration: ['tests/**/*.test.ts'],
  long: LONG,
  static: [],
  all: [...UNIT, 'tests/**/*.test.ts'],
};

const { values, positionals } = parseArgs({ allowPositionals: true, options: { only: { type: 'string' } } });
const part = values.only ?? 'all';
if (!Object.hasOwn(FILES, part)) {
  process.stderr.write(`--only takes one of ${Object.keys(FILES).join(', ')}\n`);
  process.exit(2);
}
process.chdir(root);

const named = positionals.length > 0;
const whole = part === 'all' && !named;
const files = named ? positionals : testFiles(part);
let failedSteps = 0;

if (!named && (part === 'all' || part === 'static')) failedSteps += await runSteps(staticSteps);
let counts = { passed: 0, failed: 0 };
if (files.length > 0) {
  const redis = await runSteps([{ name: 'redis-server', run: findRedis }]);
  failedSteps += redis;
  if (redis === 0) counts = await runTests();
}
if (whole) failedSteps += await runSteps([coverageStep]);
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`);
process.exit(counts.failed + failedSteps > 0 ? 1 : 0);

function testFiles(name) {
  const exclude = (path) => /(^|\/)(node_modules|gen)$/.test(path);
  const found = FILES[name].flatMap((pattern) => globSync(pattern, { exclude }));
  return found.filter((file) => name === 'long' || !file.startsWith('tests/long/')).sort();
}

/** Found, or brought here, once: test files that run at the same time must not each download one. */
async function findRedis() {
  const onProgress = (message) => process.stdout.write(`         ${message} …\n`);
  const softwareDir = join(root, '.data/redis/software');
  try {
    process.env.MINIODB_REDIS_SERVER = await locateRedis({ softwareDir, onProgress });
    return { ok: true };
  } catch (error) {
    return { ok: false, output: `${error.message}\n` };
  }
}

async function runTests() {
  if (whole) {
    rmSync(coverageDir, { recursive: true, force: true });
    // Node hands it on to every process that a test starts.
    process.env.NODE_V8_COVERAGE = coverageDir;
  }
  try {
    return await runTestFiles(files);
  } finally {
    delete process.env.NODE_V8_COVERAGE;
  }
}
