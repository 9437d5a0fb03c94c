import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PrincipalLimits } from './principal-limits.ts';

const refusedFor = (take: () => void): number => {
  let retryAfterMs = 0;
  assert.throws(take, (error: { code: string; kind: string; retryAfterMs: number }) => {
    assert.deepEqual([error.kind, error.code], ['resource_exhausted', 'principal_limit']);
    ({ retryAfterMs } = error);
    return true;
  });
  return retryAfterMs;
};

test('a user makes as many requests a second as it may, and hears when the next one passes', () => {
  const limits = new PrincipalLimits({ ann: { requests_per_second: 2 } });
  limits.takeRequest('ann', 0, 0);
  limits.takeRequest('ann', 0, 0);
  assert.equal(
    refusedFor(() => limits.takeRequest('ann', 0, 0)),
    500,
  );
  refusedFor(() => limits.takeRequest('ann', 0, 499));
  limits.takeRequest('ann', 0, 500);
  refusedFor(() => limits.takeRequest('ann', 0, 501));
  // An idle minute is worth a second's requests, not sixty's.
  for (let n = 0; n < 2; n += 1) limits.takeRequest('ann', 0, 60_000);
  refusedFor(() => limits.takeRequest('ann', 0, 60_000));
});

test('a body larger than a second’s bytes passes alone, and is paid for by those after it', () => {
  const limits = new PrincipalLimits({ ann: { bytes_per_second: 100 } });
  limits.takeRequest('ann', 300, 0);
  assert.equal(
    refusedFor(() => limits.takeRequest('ann', 1, 0)),
    2_010,
  );
  limits.takeRequest('ann', 0, 0);
  refusedFor(() => limits.takeRequest('ann', 1, 2_009));
  limits.takeRequest('ann', 1, 2_011);
});

test('users without limits of their own each have those of *, and without that none', () => {
  const limits = new PrincipalLimits({ '*': { requests_per_second: 1 }, ann: {} });
  for (let n = 0; n < 100; n += 1) limits.takeRequest('ann', 1e9, 0);
  limits.takeRequest('bob', 0, 0);
  limits.takeRequest('eve', 0, 0);
  refusedFor(() => limits.takeRequest('bob', 0, 0));
  const none = new PrincipalLimits({});
  for (let n = 0; n < 100; n += 1) none.takeRequest('bob', 1e9, 0);
});

test('a user runs as many queries at a time as it may, whatever became of earlier ones', async () => {
  const limits = new PrincipalLimits({ ann: { concurrent_queries: 1 } });
  const gate = Promise.withResolvers<string>();
  const first = limits.holdQuery('ann', () => gate.promise);
  await assert.rejects(
    limits.holdQuery('ann', async () => 'second'),
    { code: 'principal_limit' },
  );
  assert.equal(await limits.holdQuery('bob', async () => 'other'), 'other');
  gate.reject(new Error('broken'));
  await assert.rejects(first, /broken/);
  assert.equal(await limits.holdQuery('ann', async () => 'third'), 'third');
});
