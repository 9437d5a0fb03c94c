import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { openVoucher } from '@miniodb/core/auth/voucher.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { vouching } from './vouch.ts';

const vouched = { user: 'u', requestId: 'r', queryHash: 'h' };
const nowMs = () => 1_700_000_000_000;

/** A cluster's secret as one process knows it, and as it is. */
class Secret {
  known = randomBytes(32);
  real = this.known;

  async current() {
    return this.known;
  }
  async hasChangedFrom(tried: Buffer) {
    this.known = this.real;
    return !this.real.equals(tried);
  }
}

const querier = (secret: () => Buffer) => async (voucher: string) => {
  if (openVoucher(secret(), voucher, nowMs()).verdict === 'good') return 'answer';
  throw new MiniodbError('permission_denied', 'no', { code: 'voucher_refused' });
};

test('a query is vouched for again with the new secret when the old one has been replaced', async () => {
  const secret = new Secret();
  assert.equal(
    await vouching(
      secret,
      vouched,
      nowMs,
      querier(() => secret.real),
    ),
    'answer',
  );
  secret.real = randomBytes(32);
  assert.equal(
    await vouching(
      secret,
      vouched,
      nowMs,
      querier(() => secret.real),
    ),
    'answer',
  );
});

test('a querier with another secret is told to the caller as unavailable, not as the caller’s fault', async () => {
  const secret = new Secret();
  const stranger = querier(() => Buffer.alloc(32));
  const unavailable = { kind: 'unavailable', code: 'voucher_refused', retryAfterMs: 1_000 };
  await assert.rejects(vouching(secret, vouched, nowMs, stranger), unavailable);
  secret.real = randomBytes(32);
  await assert.rejects(vouching(secret, vouched, nowMs, stranger), unavailable);
});

test('other refusals pass, and nothing is asked twice for them', async () => {
  const refusal = new MiniodbError('permission_denied', 'no', { code: 'table_forbidden' });
  let asked = 0;
  const refusing = async () => {
    asked += 1;
    throw refusal;
  };
  await assert.rejects(vouching(new Secret(), vouched, nowMs, refusing), refusal);
  assert.equal(asked, 1);
});
