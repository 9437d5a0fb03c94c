import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startGuardedCluster } from './callers.ts';

test('a user that is called like a member of every object has the limits of everybody', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'miniodb-odd-'));
  const configFile = join(scratch, 'config.yaml');
  writeFileSync(
    configFile,
    `permissions:
  enabled: true
  roles: { all: ["table:*:*"] }
  users: { constructor: [all], toString: [all] }
  limits: { "*": { max_tables: 1 } }
`,
  );
  const guarded = await startGuardedCluster({ configFile });
  try {
    for (const user of ['constructor', 'toString']) {
      const { token } = await guarded.newToken(user);
      const create = (n: number) =>
        guarded.call(token, 'POST', '/v1/tables', { table_name: `${user}_${n}`, config: {} });
      assert.equal((await create(1)).status, 200);
      assert.equal((await create(2)).status, 429, user);
    }
  } finally {
    await guarded.stop();
    rmSync(scratch, { recursive: true });
  }
});
