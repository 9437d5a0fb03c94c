import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sharedPing } from './ping.ts';

test('Redis is asked once a second, however many ask whether it answers', async () => {
  let nowMs = 0;
  let pings = 0;
  const redis = {
    ping: async () => {
      pings += 1;
      return 'PONG';
    },
  };
  const ping = sharedPing(redis as never, () => nowMs);
  for (nowMs = 0; nowMs < 1_000; nowMs += 100) assert.equal(await ping(), 'ok');
  assert.equal(pings, 1);
  assert.equal(await ping(), 'ok');
  assert.equal(pings, 2);
});

test('why Redis does not answer is not told', async () => {
  const refusing = { ping: () => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.7:6379')) };
  assert.equal(await sharedPing(refusing as never)(), 'unavailable');
  const silent = { ping: () => new Promise<never>(() => {}) };
  assert.equal(await sharedPing(silent as never)(), 'no answer');
});
