import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ring, shardKey } from './ring.ts';

const KEYS = Array.from({ length: 5_000 }, (_, n) => shardKey(`table_${n >> 2}`, `s0${n & 3}`));

test('a ring without members owns nothing, a ring of one owns all', () => {
  assert.equal(new Ring([]).ownerOf('t/s00'), undefined);
  const ring = new Ring(['flusher-1']);
  assert.ok(KEYS.every((key) => ring.ownerOf(key) === 'flusher-1'));
});

test('every member has its share, whatever its id looks like', () => {
  for (const ids of [
    ['flusher-1', 'flusher-2'],
    ['flusher-host-0a1b2c', 'flusher-host-ffeedd', '10.0.0.1:8080', '10.0.0.2:8080'],
  ]) {
    const ring = new Ring(ids);
    const counts = new Map<string, number>();
    for (const key of KEYS) counts.set(ring.ownerOf(key)!, (counts.get(ring.ownerOf(key)!) ?? 0) + 1);
    assert.deepEqual([...counts.keys()].sort(), [...ids].sort());
    const mean = KEYS.length / ids.length;
    for (const count of counts.values())
      assert.ok(Math.abs(count - mean) < 0.35 * mean, `${count} of ${mean}`);
  }
});

test('a member more moves about one share, and only to the new one', () => {
  const before = new Ring(['a', 'b', 'c']);
  const after = new Ring(['a', 'b', 'c', 'd']);
  const moved = KEYS.filter((key) => before.ownerOf(key) !== after.ownerOf(key));
  assert.ok(moved.every((key) => after.ownerOf(key) === 'd'));
  assert.ok(moved.length < (1.35 * KEYS.length) / 4, `${moved.length} moved`);
});
