import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Directory } from '@miniodb/core/auth/directory.ts';
import { permissionsSchema } from '@miniodb/core/auth/sections.ts';
import { queryHashOf, signVoucher, VOUCHER_LIFE_MS } from '@miniodb/core/auth/voucher.ts';
import { CallerCheck, requireVouched } from './authorize.ts';

const NOW_MS = 1_700_000_000_000;
const query = { sql: 'SELECT $1', paramsJson: '[1]', position: '' };
const vouched = { user: 'u', requestId: 'r', queryHash: queryHashOf(query) };
const refused = { kind: 'permission_denied', code: 'voucher_refused' };

function open(section: object, replaced?: Buffer) {
  let known: Buffer = randomBytes(32);
  const first = known;
  const secret = {
    current: async () => known,
    hasChangedFrom: async (tried: Buffer) => {
      known = replaced ?? known;
      return !known.equals(tried);
    },
  };
  const check = new CallerCheck(new Directory(permissionsSchema.parse(section)), secret, () => NOW_MS);
  return { check, first };
}

test('a voucher of the gateways brings the grants that this querier has for the user', async () => {
  const { check, first } = open({
    enabled: true,
    roles: { r: ['table:users:read'] },
    users: { u: ['r'] },
  });
  const { principal } = await check.callerOf(signVoucher(first, vouched, NOW_MS));
  assert.equal(principal.user, 'u');
  assert.deepEqual(
    [principal.grants.allow('read', 'users'), principal.grants.allow('read', 'orders')],
    [true, false],
  );
});

test('without a good voucher nobody asks, whether permissions are on or off', async () => {
  for (const section of [{ enabled: true, users: { u: [] } }, { enabled: false }]) {
    const { check, first } = open(section);
    for (const voucher of [
      '',
      'nonsense',
      signVoucher(randomBytes(32), vouched, NOW_MS),
      signVoucher(first, vouched, NOW_MS - VOUCHER_LIFE_MS),
    ]) {
      await assert.rejects(check.callerOf(voucher), refused, voucher);
    }
  }
});

test('a user that only the gateway knows reads nothing here, and neither does an anonymous one', async () => {
  const { check, first } = open({ enabled: true, users: { other: [] } });
  for (const user of ['u', 'anonymous', '']) {
    const one = { ...vouched, user };
    await assert.rejects(check.callerOf(signVoucher(first, one, NOW_MS)), {
      kind: 'permission_denied',
      code: 'user_unknown',
    });
  }
});

test('a voucher of a secret that has replaced the known one is good', async () => {
  const replaced = randomBytes(32);
  const { check, first } = open({ enabled: false }, replaced);
  const { principal } = await check.callerOf(signVoucher(replaced, vouched, NOW_MS));
  assert.equal(principal.user, 'anonymous');
  await assert.rejects(check.callerOf(signVoucher(first, vouched, NOW_MS)), refused);
});

test('a voucher is for one query: other SQL, other parameters and another position are refused', async () => {
  const { check, first } = open({ enabled: false });
  const caller = await check.callerOf(signVoucher(first, vouched, NOW_MS));
  requireVouched(caller, query);
  for (const changed of [{ sql: 'SELECT $2' }, { paramsJson: '[2]' }, { position: 'a:1' }]) {
    assert.throws(() => requireVouched(caller, { ...query, ...changed }), refused, JSON.stringify(changed));
  }
});
