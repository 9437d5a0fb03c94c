import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { openVoucher, queryHashOf, signVoucher, VOUCHER_LIFE_MS } from './voucher.ts';

const NOW_MS = 1_700_000_000_000;
const query = { sql: 'SELECT $1', paramsJson: '[1]', position: '' };
const vouched = { user: 'u","r', requestId: 'r', queryHash: queryHashOf(query) };
const secret = randomBytes(32);

test('a voucher says its user, request and query, until it expires', () => {
  const voucher = signVoucher(secret, vouched, NOW_MS);
  const opened = { verdict: 'good', vouched };
  assert.deepEqual(openVoucher(secret, voucher, NOW_MS), opened);
  assert.deepEqual(openVoucher(secret, voucher, NOW_MS + VOUCHER_LIFE_MS - 1), opened);
  assert.deepEqual(openVoucher(secret, voucher, NOW_MS + VOUCHER_LIFE_MS), { verdict: 'expired' });
});

test('a voucher that is missing, cut, of another secret, or with other claims is forged', () => {
  const voucher = signVoucher(secret, vouched, NOW_MS);
  const [version, , mac] = voucher.split('.') as [string, string, string];
  const others = signVoucher(randomBytes(32), { ...vouched, user: 'admin' }, NOW_MS);
  const claims = others.split('.')[1]!;
  const unsigned = createHmac('sha256', Buffer.alloc(0)).update(`2.${claims}`).digest('base64url');
  for (const text of [
    '',
    'x',
    voucher.slice(0, -1),
    `${voucher}0`,
    `${version}.${claims}.${mac}`,
    voucher.replace(/^2/, '1'),
    `${version}..${mac}`,
    `${version}.${claims}.${unsigned}`,
    others,
  ]) {
    assert.deepEqual(openVoucher(secret, text, NOW_MS), { verdict: 'forged' }, text);
  }
});

test('the hash of a query is of its text, its parameters and its position, each for itself', () => {
  const others = [
    { ...query, sql: 'SELECT $2' },
    { ...query, paramsJson: '[2]' },
    { ...query, position: 'a:1' },
    { ...query, sql: 'SELECT $1[', paramsJson: '1]' },
    { sql: query.sql, paramsJson: '', position: query.paramsJson },
  ];
  assert.equal(new Set([query, ...others].map(queryHashOf)).size, others.length + 1);
});
