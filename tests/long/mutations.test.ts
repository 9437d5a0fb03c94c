import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';

test('every mutation of the protocol is noticed by its test', async () => {
  const runner = join(import.meta.dirname, '../mutations/run.ts');
  // The tests that it runs are no part of this run: with its context they would report to it and run nothing.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(process.execPath, [runner], { stdio: ['ignore', 'pipe', 'inherit'], env });
  let report = '';
  child.stdout.on('data', (bytes: Buffer) => {
    report += bytes.toString();
  });
  const [code] = await once(child, 'close');
  assert.equal(code, 0, report);
  assert.match(report, /^\d+ mutations noticed, 0 survived$/m);
});
