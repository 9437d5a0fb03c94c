import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteBudget } from './budget.ts';

const REFUSED = { kind: 'resource_exhausted', code: 'too_much_in_flight', retryAfterMs: 500 };

test('shares are taken up to exactly the budget, and what is given back can be taken again', () => {
  const budget = new ByteBudget(100);
  const [first, second] = [budget.open(), budget.open()];
  first.take(60);
  second.take(40);
  assert.throws(() => second.take(1), REFUSED);
  assert.equal(budget.taken, 100);
  first.release();
  first.release();
  assert.equal(budget.taken, 40);
  second.take(60);
  second.release();
  assert.equal(budget.taken, 0);
});

test('a share larger than the whole budget is given to one that is alone only', () => {
  const budget = new ByteBudget(100);
  const [large, small] = [budget.open(), budget.open()];
  small.take(1);
  assert.throws(() => large.take(1_000), REFUSED);
  small.release();
  large.take(1_000);
  large.take(1_000);
  assert.throws(() => budget.open().take(1), REFUSED);
});

test('of shares that outgrow the budget together the last one goes on', () => {
  const budget = new ByteBudget(100);
  const growing = Array.from({ length: 8 }, () => budget.open());
  let refused = 0;
  for (let round = 0; round < 50; round += 1) {
    for (const share of [...growing]) {
      try {
        share.take(10);
      } catch {
        share.release();
        growing.splice(growing.indexOf(share), 1);
        refused += 1;
      }
    }
  }
  assert.deepEqual([growing.length, refused], [1, 7]);
});

test('nothing is taken for a call that is over', () => {
  const budget = new ByteBudget(100);
  const share = budget.open();
  share.release();
  assert.throws(() => share.take(1), { code: 'cancelled' });
  assert.equal(budget.taken, 0);
});

test('work that fails gives its share back, and refusals and bytes are observed', async () => {
  const seen: unknown[] = [];
  const budget = new ByteBudget(100, {
    inflight: (bytes) => seen.push(bytes),
    refused: (code) => seen.push(code),
  });
  await assert.rejects(
    budget.hold(70, async (share) => {
      share.take(10);
      await assert.rejects(
        budget.hold(50, () => assert.fail('there is no room for it')),
        REFUSED,
      );
      throw new Error('lost');
    }),
    /lost/,
  );
  assert.deepEqual(seen, [70, 80, 'too_much_in_flight', 80, 0]);
});
