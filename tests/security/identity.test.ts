import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { ClusterSecret } from '@miniodb/core/auth/cluster-secret.ts';
import { TokenStore } from '@miniodb/core/auth/token-store.ts';
import {
  queryHashOf,
  signVoucher,
  VOUCHER_LIFE_MS,
  VOUCHER_METADATA_KEY,
} from '@miniodb/core/auth/voucher.ts';
import { GLOBAL_KEYS } from '@miniodb/core/table/keys.ts';
import { openQuerierClient, type QuerierClient } from '@miniodb/proto/client.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import { craftJwt, type GuardedCluster, JWT_SECRET, jwtOf, startGuardedCluster } from './callers.ts';

let guarded: GuardedCluster;
before(async () => {
  guarded = await startGuardedCluster();
});
after(() => guarded?.stop());

const COUNT_USERS = { sql: 'SELECT count(*) AS n FROM users' };
const ask = (token: string) => guarded.call(token, 'POST', '/v1/query', COUNT_USERS);
const askOther = (token: string) => guarded.callOther(token, 'POST', '/v1/query', COUNT_USERS);

describe('an API token', () => {
  test('that is revoked is refused by every gateway within five seconds', async () => {
    const { id, token } = await guarded.newToken('analyst-001');
    assert.deepEqual([(await ask(token)).status, (await askOther(token)).status], [200, 200]);
    assert.equal(await new TokenStore(guarded.redis).revoke(id), true);
    const revokedAtMs = performance.now();
    await waitFor('both gateways refuse it', async () => {
      const answers = [await ask(token), await askOther(token)];
      return answers.every(({ status, code }) => status === 401 && code === 'unauthenticated');
    });
    assert.ok(performance.now() - revokedAtMs < 5_000);
  });

  test('is good until it expires, and told as expired from then on', async () => {
    const { token } = await guarded.newToken('analyst-001', 1_500);
    assert.equal((await ask(token)).status, 200);
    const { code } = await waitFor('it is refused', async () => {
      const answer = await ask(token);
      return answer.status === 401 && answer;
    });
    assert.equal(code, 'token_expired');
  });

  test('of a user that left the configuration opens nothing', async () => {
    const { token } = await guarded.newToken('left-001');
    assert.deepEqual([(await ask(token)).status, (await ask(token)).code], [401, 'user_unknown']);
  });
});

describe('a JWT', () => {
  const nowSeconds = () => Math.floor(Date.now() / 1_000);

  test('names a user of the configuration, whose grants hold, whatever the token says of itself', async () => {
    assert.equal((await ask(jwtOf())).status, 200);
    const boasting = jwtOf({
      roles: ['admin'],
      role: 'admin',
      grants: ['table:*:*'],
      permissions: ['table:*:*'],
      scope: 'table:*:* admin',
      groups: ['admin'],
    });
    const write = await guarded.call(boasting, 'POST', '/v1/data', {
      table: 'users',
      id: 'i',
      payload: { n: 1 },
    });
    assert.deepEqual([write.status, write.code], [403, 'table_forbidden']);
    assert.equal((await guarded.call(boasting, 'GET', '/v1/nodes')).code, 'cluster_forbidden');
  });

  test('that is forged, over, early, for others or of a stranger is refused', async () => {
    const claims = JSON.parse(Buffer.from(jwtOf().split('.')[1]!, 'base64url').toString()) as object;
    const unsigned = (alg: string) =>
      craftJwt({ alg }, { ...claims, sub: 'admin-001' }, '').replace(/[^.]*$/, '');
    const cases: readonly [string, string, string][] = [
      ['alg none', unsigned('none'), 'unauthenticated'],
      ['alg None', unsigned('None'), 'unauthenticated'],
      ['another secret', craftJwt({ alg: 'HS256' }, claims, 'x'.repeat(40)), 'unauthenticated'],
      ['RS256', craftJwt({ alg: 'RS256' }, claims, JWT_SECRET), 'unauthenticated'],
      ['HS512', craftJwt({ alg: 'HS512' }, claims, JWT_SECRET, 'sha512'), 'unauthenticated'],
      ['kid', craftJwt({ alg: 'HS256', kid: '../../dev/null' }, claims, ''), 'unauthenticated'],
      ['exp', jwtOf({ exp: nowSeconds() - 60 }), 'token_expired'],
      ['nbf', jwtOf({ nbf: nowSeconds() + 60 }), 'unauthenticated'],
      ['no exp', jwtOf({ exp: undefined }), 'unauthenticated'],
      ['aud', jwtOf({ aud: 'other' }), 'unauthenticated'],
      ['iss', jwtOf({ iss: 'other' }), 'unauthenticated'],
      ['roles as user', jwtOf({ sub: ['admin-001'] }), 'unauthenticated'],
      ['stranger', jwtOf({ sub: 'stranger' }), 'user_unknown'],
      ['anonymous', jwtOf({ sub: 'anonymous' }), 'user_unknown'],
      ['too long', jwtOf({ pad: 'x'.repeat(8_000) }), 'unauthenticated'],
    ];
    for (const [what, token, code] of cases) {
      const answer = await ask(token);
      assert.deepEqual([answer.status, answer.code], [401, code], what);
    }
  });
});

describe('a querier', () => {
  let client: QuerierClient;
  before(() => {
    client = openQuerierClient(`127.0.0.1:${guarded.cluster.member('querier-1').ports.port}`);
  });
  after(() => client.close());

  const SQL = 'SELECT count(*) FROM users';
  const SOUGHT = 'SELECT id FROM users WHERE id = $1';
  async function execute(voucher: string, sql = SQL, params_json = '[]', position = ''): Promise<void> {
    const metadata = { [VOUCHER_METADATA_KEY]: voucher };
    for await (const _part of client.execute({ sql, params_json, position }, { metadata })) {
      // Only whether it is answered counts.
    }
  }
  const vouchedFor = (user: string, sql = SQL, paramsJson = '[]') => ({
    user,
    requestId: 'r',
    queryHash: queryHashOf({ sql, paramsJson, position: '' }),
  });
  const secret = () => new ClusterSecret(guarded.redis).current();
  const refused = { kind: 'permission_denied', code: 'voucher_refused' };

  test('answers nobody that no gateway vouches for', async () => {
    const real = await secret();
    const nowMs = Date.now();
    const vouched = vouchedFor('admin-001');
    await execute(signVoucher(real, vouched, nowMs));
    for (const voucher of [
      '',
      'x',
      signVoucher(randomBytes(32), vouched, nowMs),
      signVoucher(real, vouchedFor('admin-001', 'SELECT 1'), nowMs),
      signVoucher(real, vouched, nowMs - VOUCHER_LIFE_MS - 1_000),
    ]) {
      await assert.rejects(execute(voucher), refused, voucher);
    }
  });

  test('lets an overheard voucher serve for no other parameters, position or text', async () => {
    const voucher = signVoucher(await secret(), vouchedFor('admin-001', SOUGHT, '["alice"]'), Date.now());
    await execute(voucher, SOUGHT, '["alice"]');
    await assert.rejects(execute(voucher, SOUGHT, '["bob"]'), refused);
    await assert.rejects(execute(voucher, SOUGHT, '["alice"]', 'abc:1'), refused);
    await assert.rejects(execute(voucher, 'FROM orders', '["alice"]'), refused);
  });

  test('tells of parameters that are none as the request’s fault, without quoting them', async () => {
    const real = await secret();
    for (const params of ['[secret-of-mine', 'null', '{}', '"x"', '5', '[[1]]', '[{"a":1}]']) {
      const voucher = signVoucher(real, vouchedFor('admin-001', SOUGHT, params), Date.now());
      await assert.rejects(execute(voucher, SOUGHT, params), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'sql_bad_parameter', params);
        assert.ok(!error.message.includes('secret'), error.message);
        return true;
      });
    }
  });

  test('decides about tables again, by its own configuration', async () => {
    const real = await secret();
    const sql = 'SELECT count(*) FROM orders';
    const ask = async (user: string) => execute(signVoucher(real, vouchedFor(user, sql), Date.now()), sql);
    await ask('service-order-001');
    await assert.rejects(ask('service-user-001'), { kind: 'permission_denied', code: 'table_forbidden' });
    await assert.rejects(ask('stranger'), { kind: 'permission_denied', code: 'user_unknown' });
    await assert.rejects(ask('anonymous'), { kind: 'permission_denied', code: 'user_unknown' });
  });

  test('follows when the cluster’s secret is replaced, while queries go on', async () => {
    const old = await secret();
    await guarded.redis.set(GLOBAL_KEYS.secret, randomBytes(32).toString('hex'));
    const vouched = vouchedFor('admin-001');
    const statuses = new Set<number>();
    await waitFor('the old secret opens nothing any more', async () => {
      statuses.add((await ask(guarded.tokens['analyst-001'])).status);
      return execute(signVoucher(old, vouched, Date.now())).then(
        () => false,
        (error: { code?: string }) => error.code === 'voucher_refused',
      );
    });
    for (const status of statuses) assert.ok(status === 200 || status === 503, String(status));
    await waitFor('queries are answered', async () =>
      [await ask(guarded.tokens['analyst-001']), await askOther(guarded.tokens['analyst-001'])].every(
        ({ status }) => status === 200,
      ),
    );
  });
});
