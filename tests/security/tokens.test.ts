import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { newToken, parseToken, provesToken, type TokenRecord } from '@miniodb/core/auth/token.ts';
import { TokenCheck } from '@miniodb/core/auth/token-check.ts';
import { TokenStore } from '@miniodb/core/auth/token-store.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { GLOBAL_KEYS } from '@miniodb/core/table/keys.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

let server: TestRedis;
before(async () => {
  server = await startTestRedis();
});
after(() => server.stop());

const NOW_MS = 1_700_000_000_000;
const refused = (code: string) => ({ kind: 'unauthenticated', code });

function checkOver(store: { read(id: string): Promise<TokenRecord | undefined> }, maxAgeMs?: number) {
  let nowMs = NOW_MS;
  const check = new TokenCheck(store, () => nowMs, maxAgeMs);
  return { check, setNow: (ms: number) => (nowMs = ms) };
}

test('a token proves its user, and Redis holds nothing that could be shown as one', async () => {
  const store = new TokenStore(server.redis);
  const made = newToken({ user: 'u', createdMs: NOW_MS, name: 'ci' });
  await store.add(made);
  assert.match(made.token, /^mdb_[0-9a-f]{16}_[0-9a-f]{64}$/);
  assert.equal(await checkOver(store).check.userOf(made.token), 'u');
  const stored = JSON.stringify(await server.redis.hgetall(GLOBAL_KEYS.tokens));
  assert.ok(!stored.includes(parseToken(made.token)!.secret));
});

test('a token of another secret, id or form is refused in the same words', async () => {
  const store = new TokenStore(server.redis);
  const one = newToken({ user: 'one', createdMs: NOW_MS });
  const two = newToken({ user: 'two', createdMs: NOW_MS });
  await store.add(one);
  await store.add(two);
  const { check } = checkOver(store);
  const secretOf = (token: string) => parseToken(token)!.secret;
  for (const text of [
    `mdb_${one.id}_${secretOf(two.token)}`,
    `mdb_${'0'.repeat(16)}_${secretOf(one.token)}`,
    `mdb_${one.id}_${one.record.hash}`,
    one.token.toUpperCase(),
    `${one.token}0`,
    one.token.slice(0, -1),
    'mdb_',
    '',
    `mdb_${one.id}_`,
  ]) {
    await assert.rejects(check.userOf(text), refused('unauthenticated'), text);
  }
});

test('a token is good until its expiry and expired from then on', async () => {
  const store = new TokenStore(server.redis);
  const made = newToken({ user: 'u', createdMs: NOW_MS, expiresMs: NOW_MS + 1_000 });
  await store.add(made);
  const { check, setNow } = checkOver(store);
  setNow(NOW_MS + 999);
  assert.equal(await check.userOf(made.token), 'u');
  setNow(NOW_MS + 1_000);
  await assert.rejects(check.userOf(made.token), refused('token_expired'));
  const wrong = `mdb_${made.id}_${'0'.repeat(64)}`;
  await assert.rejects(check.userOf(wrong), refused('unauthenticated'));
});

test('a revoked token is refused once what was known of it is too old', async () => {
  const store = new TokenStore(server.redis);
  const made = newToken({ user: 'u', createdMs: NOW_MS });
  await store.add(made);
  const { check } = checkOver(store);
  assert.equal(await check.userOf(made.token), 'u');
  const revokedAtMs = performance.now();
  assert.deepEqual([await store.revoke(made.id), await store.revoke(made.id)], [true, false]);
  await waitFor('the token is refused', () =>
    check.userOf(made.token).then(
      () => undefined,
      (error: MiniodbError) => error.code === 'unauthenticated',
    ),
  );
  assert.ok(performance.now() - revokedAtMs < 5_000);
});

test('an answer that was on its way for long is not remembered for longer', async () => {
  const made = newToken({ user: 'u', createdMs: NOW_MS });
  let reads = 0;
  const slow = {
    async read() {
      reads += 1;
      const asked = performance.now();
      await waitFor('the answer is late', () => performance.now() - asked > 60);
      return made.record;
    },
  };
  const { check } = checkOver(slow, 50);
  await check.userOf(made.token);
  await check.userOf(made.token);
  assert.equal(reads, 2);
});

test('Redis is asked once for an id, whether it exists or not, by however many callers at once', async () => {
  const made = newToken({ user: 'u', createdMs: NOW_MS });
  const reads: string[] = [];
  const { check } = checkOver({
    async read(id) {
      reads.push(id);
      return id === made.id ? made.record : undefined;
    },
  });
  const absent = newToken({ user: 'u', createdMs: NOW_MS });
  const ask = (token: string) => check.userOf(token).catch((error: MiniodbError) => error.code);
  await Promise.all([made, made, absent, absent].map(({ token }) => ask(token)));
  assert.deepEqual(await Promise.all([ask(made.token), ask(absent.token)]), ['u', 'unauthenticated']);
  assert.deepEqual(reads, [made.id, absent.id]);
});

test('made-up tokens neither push out the known ones nor queue without end', async () => {
  const made = newToken({ user: 'u', createdMs: NOW_MS });
  let reads = 0;
  const gate = Promise.withResolvers<void>();
  const { check } = checkOver(
    {
      async read(id) {
        reads += 1;
        if (id === made.id) return made.record;
        await gate.promise;
        return undefined;
      },
    },
    60_000,
  );
  assert.equal(await check.userOf(made.token), 'u');
  const codes = Array.from({ length: 300 }, () =>
    check.userOf(newToken({ user: 'x', createdMs: NOW_MS }).token).catch((error: MiniodbError) => error.code),
  );
  assert.equal(await check.userOf(made.token), 'u');
  gate.resolve();
  const counts = Object.groupBy(await Promise.all(codes), (code) => code);
  assert.equal(counts.unauthenticated?.length, 256);
  assert.equal(counts.too_many_lookups?.length, 44);
  assert.equal(reads, 257);
});

test('a token that was good is looked up again whatever strangers make up, and one address leaves room', async () => {
  const made = newToken({ user: 'u', createdMs: NOW_MS });
  const unseen = newToken({ user: 'v', createdMs: NOW_MS });
  const genuine = new Map([made, unseen].map(({ id, record }) => [id, record]));
  const gate = Promise.withResolvers<void>();
  const { check } = checkOver(
    {
      async read(id) {
        const record = genuine.get(id);
        if (record === undefined) await gate.promise;
        return record;
      },
    },
    1,
  );
  assert.equal(await check.userOf(made.token, '10.0.0.1'), 'u');
  const flood = (peer: string, count: number) =>
    Array.from({ length: count }, () =>
      check
        .userOf(newToken({ user: 'x', createdMs: NOW_MS }).token, peer)
        .catch((error: MiniodbError) => error.code),
    );
  const codes = flood('10.0.0.66', 300);
  const rememberedAtMs = performance.now();
  await waitFor('what was known is too old', () => performance.now() - rememberedAtMs > 5);
  assert.equal(await check.userOf(unseen.token, '10.0.0.2'), 'v', 'others have room');
  for (const peer of ['10.0.0.67', '10.0.0.68', '10.0.0.69']) codes.push(...flood(peer, 100));
  await assert.rejects(check.userOf(newToken({ user: 'u', createdMs: NOW_MS }).token), {
    code: 'too_many_lookups',
  });
  assert.equal(await check.userOf(made.token, '10.0.0.66'), 'u');
  gate.resolve();
  const counts = Object.groupBy(await Promise.all(codes), (code) => code);
  assert.equal(counts.unauthenticated?.length, 256);
});

test('without Redis nobody is let in that is not remembered', async () => {
  const away = new MiniodbError('unavailable', 'away', { code: 'redis_unavailable' });
  const { check } = checkOver({ read: () => Promise.reject(away) });
  await assert.rejects(check.userOf(newToken({ user: 'u', createdMs: NOW_MS }).token), away);
});

test('a record that cannot be read opens nothing, is listed, and can be revoked', async () => {
  const store = new TokenStore(server.redis);
  const made = newToken({ user: 'u', createdMs: NOW_MS });
  await server.redis.hset(GLOBAL_KEYS.tokens, made.id, JSON.stringify({ ...made.record, format: 2 }));
  await assert.rejects(checkOver(store).check.userOf(made.token), (error: MiniodbError) => {
    assert.equal(error.code, 'token_unreadable');
    // It goes to a log, and may hold anything.
    assert.equal(error.cause, undefined);
    return true;
  });
  const listed = await store.list();
  assert.ok(listed.has(made.id));
  assert.equal(listed.get(made.id), undefined);
  assert.equal(await store.revoke(made.id), true);
});

test('a key of another type is told as damage', async () => {
  const other = await startTestRedis();
  try {
    await other.redis.set(GLOBAL_KEYS.tokens, 'x');
    const store = new TokenStore(other.redis);
    const made = newToken({ user: 'u', createdMs: NOW_MS });
    for (const work of [store.add(made), store.read(made.id), store.list(), store.revoke(made.id)])
      await assert.rejects(work, { kind: 'data_corrupted', code: 'redis_wrong_type' });
  } finally {
    await other.stop();
  }
});

test('the hash of a secret is compared whole', () => {
  const { record, token } = newToken({ user: 'u', createdMs: NOW_MS });
  const { secret } = parseToken(token)!;
  assert.equal(provesToken(record, secret), true);
  const flipped = `${secret.slice(0, -1)}${secret.endsWith('0') ? '1' : '0'}`;
  assert.equal(provesToken(record, flipped), false);
});
