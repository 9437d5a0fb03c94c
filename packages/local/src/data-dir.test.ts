import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DataDir } from './data-dir.ts';
import { isAlive, parseRecord, recordOf } from './process-identity.ts';

const scratch = mkdtempSync(join(tmpdir(), 'miniodb-data-dir-'));
after(() => rmSync(scratch, { recursive: true }));

test('a data directory that a living process has is refused, naming the process', async () => {
  const path = join(scratch, 'held');
  const dataDir = await DataDir.lock(path);
  await assert.rejects(DataDir.lock(path), {
    kind: 'failed_precondition',
    code: 'data_dir_in_use',
    message: new RegExp(`process ${process.pid} is using`),
  });
  dataDir.unlock();
  (await DataDir.lock(path)).unlock();
});

test('the lock of a process that is gone, or whose pid another process has now, is taken over', async () => {
  const path = join(scratch, 'stale');
  (await DataDir.lock(path)).unlock();
  const stale = [
    { pid: process.pid, identity: 'an earlier process of this pid' },
    { pid: 2 ** 30, identity: 'gone' },
  ];
  for (const text of [...stale.map((record) => JSON.stringify(record)), '{"pid":', '']) {
    writeFileSync(join(path, 'lock'), text);
    const dataDir = await DataDir.lock(path);
    assert.deepEqual(parseRecord(readFileSync(dataDir.lockFile, 'utf8')), recordOf(process.pid));
    dataDir.unlock();
  }
  assert.deepEqual(
    readdirSync(path).filter((name) => name.startsWith('lock')),
    [],
    'nothing is left beside the lock',
  );
});

test('of several starters at one stale lock exactly one wins', async () => {
  const path = join(scratch, 'crowd');
  (await DataDir.lock(path)).unlock();
  writeFileSync(join(path, 'lock'), '{"pid":1073741824,"identity":"gone"}');
  const source = `
    import { DataDir } from ${JSON.stringify(join(import.meta.dirname, 'data-dir.ts'))};
    const code = await DataDir.lock(${JSON.stringify(path)}).then(() => 'locked', (error) => error.code);
    process.stdout.write(code);
    process.stdin.on('end', () => process.exit()).resume();`;
  const script = join(scratch, 'starter.mts');
  writeFileSync(script, source);
  const starters = Array.from({ length: 4 }, () =>
    spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
  // Each answers and stays, so that the winner lives while the others look.
  const answers = await Promise.all(starters.map(({ stdout }) => once(stdout, 'data').then(String)));
  for (const { stdin } of starters) stdin.end();
  assert.deepEqual(answers.sort(), ['data_dir_in_use', 'data_dir_in_use', 'data_dir_in_use', 'locked']);
});

test('a data directory that cannot be created is refused with the reason', async () => {
  const file = join(scratch, 'a-file');
  writeFileSync(file, '');
  await assert.rejects(DataDir.lock(join(file, 'below')), {
    code: 'data_dir_not_writable',
    message: /cannot write to the data directory .*ENOTDIR/,
  });
  assert.ok(existsSync(file));
});

test('a process is recognised by more than its pid', () => {
  const own = recordOf(process.pid);
  assert.ok(own !== undefined && isAlive(own));
  assert.equal(isAlive({ ...own, identity: `${own.identity}0` }), false);
  assert.equal(recordOf(2 ** 30), undefined);
});
