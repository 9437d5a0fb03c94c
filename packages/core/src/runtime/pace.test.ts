import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchPace } from './pace.ts';

const WINDOW_MS = 10_000;
const LARGE = 1_048_576;

test('what has brought much and then hardly anything is too slow, and told so once', (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] });
  let slow = 0;
  const pace = watchPace(() => (slow += 1));
  pace.arrived(LARGE);
  for (let window = 0; window < 3; window += 1) {
    pace.arrived(65_536);
    context.mock.timers.tick(WINDOW_MS);
    assert.equal(slow, 0);
  }
  pace.arrived(65_535);
  context.mock.timers.tick(WINDOW_MS);
  assert.equal(slow, 1);
  context.mock.timers.tick(WINDOW_MS * 10);
  assert.equal(slow, 1);
});

test('little may come slowly, and what has ended is not looked at', (context) => {
  context.mock.timers.enable({ apis: ['setInterval'] });
  const pace = watchPace(() => assert.fail('too slow'));
  pace.arrived(262_144);
  context.mock.timers.tick(WINDOW_MS * 3);
  pace.arrived(1);
  pace.end();
  context.mock.timers.tick(WINDOW_MS * 3);
  pace.arrived(262_144);
  context.mock.timers.tick(WINDOW_MS * 3);
});
