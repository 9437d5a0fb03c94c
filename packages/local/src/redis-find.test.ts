import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { recordOf } from './process-identity.ts';
import { findRunningRedis } from './redis-find.ts';
import { locateRedis } from './redis-locate.ts';
import { startRedis } from './redis-server.ts';

test('the Redis of a data directory is found while it runs, and not after', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'miniodb-find-'));
  t.after(() => rmSync(dataDir, { recursive: true }));
  assert.equal(await findRunningRedis(dataDir), undefined);
  const pidFile = join(dataDir, 'run', 'redis.json');
  const redis = await startRedis({
    program: await locateRedis({ softwareDir: join(tmpdir(), 'miniodb-test-software') }),
    dataDir: join(dataDir, 'redis', 'data'),
    logFile: join(dataDir, 'redis.log'),
    pidFile,
  });
  try {
    assert.equal(await findRunningRedis(dataDir), redis.url);
  } finally {
    await redis.stop();
  }
  assert.equal(await findRunningRedis(dataDir), undefined);
  // A live process that is no Redis, and a file that is no record.
  writeFileSync(pidFile, JSON.stringify(recordOf(process.pid)));
  assert.equal(await findRunningRedis(dataDir), undefined);
  writeFileSync(pidFile, '{"pid":');
  assert.equal(await findRunningRedis(dataDir), undefined);
});
