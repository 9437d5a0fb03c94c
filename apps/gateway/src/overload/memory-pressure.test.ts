import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DELAY_MS_MAX, pressureOn } from './memory-pressure.ts';

const PENDING = new Map([
  ['large', 600],
  ['middle', 300],
  ['small', 100],
]);
const kinds = (fullness: number) =>
  ['large', 'middle', 'small', 'none'].map((table) => pressureOn(table, fullness, PENDING).kind);

test('a Redis that is less than 60 % full slows nobody', () => {
  assert.deepEqual(kinds(0.59), ['none', 'none', 'none', 'none']);
});

test('from 60 % on writes are slowed, more the fuller it is', () => {
  const delays = [0.6, 0.65, 0.7, 0.7499].map((fullness) => {
    const pressure = pressureOn('small', fullness, PENDING);
    assert.ok(pressure.kind === 'slow');
    return pressure.delayMs;
  });
  assert.deepEqual(
    delays,
    delays.toSorted((a, b) => a - b),
  );
  assert.ok(delays[0]! < 10 && delays[3]! > 490, String(delays));
});

test('at 75 % only the table with the largest share is refused, at 85 % every table', () => {
  assert.deepEqual(kinds(0.75), ['refuse', 'slow', 'slow', 'slow']);
  assert.deepEqual(kinds(0.8), ['refuse', 'refuse', 'slow', 'slow']);
  assert.deepEqual(kinds(0.8499), ['refuse', 'refuse', 'refuse', 'slow']);
  assert.deepEqual(kinds(0.85), ['refuse', 'refuse', 'refuse', 'refuse']);
});

test('when nothing is pending, what fills Redis is no table’s fault, until it is at 85 %', () => {
  assert.equal(pressureOn('t', 0.8, new Map()).kind, 'slow');
  assert.equal(pressureOn('t', 0.85, new Map()).kind, 'refuse');
});

test('tables of the same size share one fate, so that many small ones together are refused too', () => {
  const many = new Map(Array.from({ length: 100 }, (_, n) => [`t${n}`, 7]));
  for (const table of many.keys()) assert.equal(pressureOn(table, 0.75, many).kind, 'refuse');
});

test('it never relents: a fuller Redis, or a larger share, is never treated more mildly', () => {
  const strength = { none: 0, slow: 1, refuse: 2 };
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 1_000 }), { minLength: 1, maxLength: 20 }),
      fc.double({ min: 0, max: 1.2, noNaN: true }),
      fc.double({ min: 0, max: 0.5, noNaN: true }),
      (sizes, fullness, more) => {
        const pending = new Map(sizes.map((bytes, n) => [`t${n}`, bytes]));
        let before = -1;
        for (const [table] of [...pending].sort(([, a], [, b]) => a - b)) {
          const pressure = pressureOn(table, fullness, pending);
          const fuller = pressureOn(table, fullness + more, pending);
          assert.ok(strength[fuller.kind] >= strength[pressure.kind]);
          assert.ok(strength[pressure.kind] >= before);
          before = strength[pressure.kind];
          if (pressure.kind === 'slow') assert.ok(pressure.delayMs >= 0 && pressure.delayMs <= DELAY_MS_MAX);
          if (pressure.kind === 'refuse') assert.ok(pressure.retryAfterMs > 0);
        }
      },
    ),
  );
});
