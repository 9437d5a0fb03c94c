import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { checkVoucher, signVoucher, VOUCHER_LIFE_MS } from './voucher.ts';

const NOW_MS = 1_700_000_000_000;
const vouched = { user: 'u', requestId: 'r', sql: 'SELECT 1' };

test('a voucher is good for its user, request and text, until it expires, and for nothing else', () => {
  const secret = randomBytes(32);
  const voucher = signVoucher(secret, vouched, NOW_MS);
  const check = (changed: object, nowMs = NOW_MS) =>
    checkVoucher(secret, voucher, { ...vouched, ...changed }, nowMs);
  assert.equal(check({}), 'good');
  assert.equal(check({}, NOW_MS + VOUCHER_LIFE_MS - 1), 'good');
  assert.equal(check({}, NOW_MS + VOUCHER_LIFE_MS), 'expired');
  for (const changed of [{ user: 'admin' }, { requestId: 'r2' }, { sql: 'SELECT 2' }, { user: 'u","r' }]) {
    assert.equal(check(changed), 'forged', JSON.stringify(changed));
  }
});

test('a voucher that is missing, cut, of another secret or with a later expiry is forged', () => {
  const secret = randomBytes(32);
  const voucher = signVoucher(secret, vouched, NOW_MS);
  const [version, expiresMs, mac] = voucher.split('.') as [string, string, string];
  for (const text of [
    '',
    voucher.slice(0, -1),
    `${version}.${Number(expiresMs) + 1}.${mac}`,
    `2.${expiresMs}.${mac}`,
    `${version}.${expiresMs}.`,
    signVoucher(randomBytes(32), vouched, NOW_MS),
    signVoucher(Buffer.alloc(0), vouched, NOW_MS),
  ]) {
    assert.equal(checkVoucher(secret, text, vouched, NOW_MS), 'forged', text);
  }
});
