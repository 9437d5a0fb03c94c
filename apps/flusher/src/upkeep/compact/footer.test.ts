import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mergedFooter } from './footer.ts';

const ref = { table: 't', generation: 'abc', shards: 2 };

function input(seals: readonly string[], batches: readonly string[] | undefined, sealedMs = 1) {
  return {
    'miniodb.format': '1',
    'miniodb.seals': seals.join(','),
    'miniodb.sealed_ms': String(sealedMs),
    ...(batches && { 'miniodb.batches': JSON.stringify(batches) }),
  };
}

test('a rewritten file says what all its inputs were made of, each seal and batch once', () => {
  const inputs = [input(['s1'], ['b1', 'b2'], 7), input(['s1', 's2'], ['b2', 'b3'], 5)];
  assert.deepEqual(mergedFooter(ref, 's01', 'p1', inputs), {
    'miniodb.format': '1',
    'miniodb.table': 't',
    'miniodb.generation': 'abc',
    'miniodb.shard': 's01',
    'miniodb.shards': '2',
    'miniodb.plan': 'p1',
    'miniodb.sealed_ms': '7',
    'miniodb.seals': 's1,s2',
    'miniodb.batches': '["b1","b2","b3"]',
  });
});

test('a list that is too long, or of which a part is missing, is left out whole', () => {
  const batches = Array.from({ length: 20_000 }, (_, n) => `gateway-1-incarnation-${n}`);
  const long = mergedFooter(ref, 's01', 'p1', [input(['s1'], batches)]);
  assert.equal(long['miniodb.batches'], undefined);
  assert.equal(long['miniodb.seals'], 's1');
  const partly = mergedFooter(ref, 's01', 'p1', [input(['s1'], ['b1']), input(['s2'], undefined)]);
  assert.equal(partly['miniodb.batches'], undefined);
  assert.equal(partly['miniodb.seals'], 's1,s2');
});
