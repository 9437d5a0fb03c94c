import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { ClusterSecret } from '@miniodb/core/auth/cluster-secret.ts';
import { GLOBAL_KEYS } from '@miniodb/core/table/keys.ts';
import { startTestRedis } from '@miniodb/testkit/redis.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

test('processes that meet an empty Redis at once agree on one secret, and follow when it is replaced', async () => {
  const server = await startTestRedis();
  try {
    const holders = Array.from({ length: 8 }, () => new ClusterSecret(server.redis));
    const secrets = await Promise.all(holders.map((holder) => holder.current()));
    assert.equal(new Set(secrets.map(String)).size, 1);
    assert.equal(secrets[0]!.length, 32);
    assert.equal(await holders[0]!.hasChangedFrom(secrets[0]!), false);

    await server.redis.set(GLOBAL_KEYS.secret, randomBytes(32).toString('hex'));
    assert.deepEqual(await holders[0]!.current(), secrets[0], 'a look at every use would be a load');
    await waitFor('the new secret is seen', () => holders[0]!.hasChangedFrom(secrets[0]!), 5_000);
    assert.notDeepEqual(await holders[0]!.current(), secrets[0]);

    await server.redis.set(GLOBAL_KEYS.secret, 'short');
    await assert.rejects(new ClusterSecret(server.redis).current(), { code: 'secret_unreadable' });
  } finally {
    await server.stop();
  }
});
