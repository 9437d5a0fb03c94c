import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Directory } from './directory.ts';
import { Grants } from './grants.ts';
import { ANONYMOUS, requireClusterAdmin, requireGrant, requireRead } from './principal.ts';
import { authSchema, permissionsSchema } from './sections.ts';

const open = (section: object) => new Directory(permissionsSchema.parse(section));

test('a user may do what any of its roles may, and nothing else', () => {
  const directory = open({
    enabled: true,
    roles: { reader: ['table:users:read'], logger: ['table:logs:write'] },
    users: { both: ['reader', 'logger'], idle: [] },
  });
  const { grants } = directory.principal('both')!;
  assert.deepEqual([grants.allow('read', 'users'), grants.allow('write', 'logs')], [true, true]);
  assert.deepEqual([grants.allow('write', 'users'), grants.allow('read', 'logs')], [false, false]);
  assert.equal(directory.principal('idle')!.grants.allowSomewhere('read'), false);
});

test('a user that the configuration does not name is nobody, also under names that objects have', () => {
  const directory = open({ enabled: true, users: { known: [] } });
  for (const user of ['stranger', '', 'constructor', '__proto__', 'anonymous', 'KNOWN']) {
    assert.equal(directory.principal(user), undefined, user);
  }
});

test('while permissions are off everybody may do everything', () => {
  const directory = open({ enabled: false });
  assert.equal(directory.principal('whoever'), ANONYMOUS);
  requireClusterAdmin(ANONYMOUS);
  requireGrant(ANONYMOUS, 'write', ['anything']);
});

test('a role that is not defined, a grant that cannot be read and a user called anonymous are refused at start', () => {
  const refused = (section: object, code: string) =>
    assert.throws(() => open({ enabled: true, ...section }), { code });
  refused({ users: { u: ['nope'] } }, 'unknown_role');
  refused({ users: { u: ['constructor'] } }, 'unknown_role');
  for (const grant of ['table:*', 'table:a:drop', 'tables:a:read', 'table:a b:read', 'table:a:read ', ''])
    refused({ roles: { unused: [grant] } }, 'invalid_grant');
  assert.throws(() => open({ users: { anonymous: [] } }), /anonymous stands for everybody/);
});

test('a glob is a whole name, whatever its case', () => {
  const grants = new Grants(['table:ACME_*:read', 'table:log?:write']);
  for (const [table, allowed] of [
    ['acme_', true],
    ['acme_orders', true],
    ['xacme_orders', false],
    ['acme', false],
    ['globex_acme_x', false],
  ] as const) {
    assert.equal(grants.allow('read', table), allowed, table);
  }
  assert.deepEqual([grants.allow('write', 'logs'), grants.allow('write', 'log')], [true, false]);
});

test('admin of all tables by pattern is not admin of the cluster, and admin does not read', () => {
  assert.equal(new Grants(['table:*:admin']).isClusterAdmin, true);
  assert.equal(new Grants(['table:*:*']).isClusterAdmin, true);
  for (const grant of ['table:**:admin', 'table:a*:*', 'table:*:read', 'table:*:write'])
    assert.equal(new Grants([grant]).isClusterAdmin, false, grant);
  assert.equal(new Grants(['table:*:admin']).allow('read', 'users'), false);
});

test('a query needs read on every table, and on some table when it names none', () => {
  const reader = { user: 'r', grants: new Grants(['table:users:read']) };
  const logger = { user: 'l', grants: new Grants(['table:logs:write']) };
  requireRead(reader, ['users']);
  requireRead(reader, []);
  const forbidden = { kind: 'permission_denied', code: 'table_forbidden' };
  assert.throws(() => requireRead(reader, ['users', 'orders']), forbidden);
  assert.throws(() => requireRead(logger, []), forbidden);
});

test('a JWT section has one kind of key, of its algorithm, over a way that nobody else can write on', () => {
  const jwt = { issuer: 'i', audience: 'a' };
  const secret = 's'.repeat(32);
  const jwks_url = 'https://issuer.example/jwks';
  for (const good of [
    { algorithm: 'HS256', secret },
    { algorithm: 'RS256', public_key_file: '/k' },
    { algorithm: 'RS256', jwks_url },
    { algorithm: 'RS256', jwks_url: 'http://127.0.0.1:1/jwks' },
  ]) {
    assert.equal(authSchema.safeParse({ jwt: { ...jwt, ...good } }).success, true, JSON.stringify(good));
  }
  for (const bad of [
    { algorithm: 'HS256' },
    { algorithm: 'HS256', secret: 'short' },
    { algorithm: 'HS256', secret, jwks_url },
    { algorithm: 'RS256', secret, public_key_file: '/k' },
    { algorithm: 'RS256', public_key_file: '/k', jwks_url },
    { algorithm: 'RS256' },
    { algorithm: 'RS256', jwks_url: 'http://issuer.example/jwks' },
    { algorithm: 'none', secret },
  ]) {
    assert.equal(authSchema.safeParse({ jwt: { ...jwt, ...bad } }).success, false, JSON.stringify(bad));
  }
});
