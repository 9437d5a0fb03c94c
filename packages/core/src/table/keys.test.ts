import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtocolKeys } from './keys.ts';

test('a drop removes every key of an incarnation that takes no argument, whatever is added', () => {
  const keys = new ProtocolKeys('t', 'g');
  const getters = Object.entries(Object.getOwnPropertyDescriptors(ProtocolKeys.prototype))
    .filter(([, { get }]) => get !== undefined)
    .map(([name]) => name)
    // Lists of keys, and the prefix of a queue's keys, which are removed by queue/remove-queue.ts.
    .filter((name) => name !== 'ofTable' && name !== 'queuePrefix');
  const all = getters.map((name) => keys[name as keyof ProtocolKeys] as unknown as string);
  assert.deepEqual([...keys.ofTable].sort(), all.sort());
});

test('a drop removes every key of a shard, whatever is added', () => {
  const keys = new ProtocolKeys('t', 'g');
  // Found by name: payload and seal keys by the batches and seals that there are, entries by the index map.
  const others = new Set(['constructor', 'payload', 'seal', 'sealBatches', 'entries', 'ofShard']);
  const methods = Object.entries(Object.getOwnPropertyDescriptors(ProtocolKeys.prototype))
    .filter(([name, { value }]) => typeof value === 'function' && !others.has(name))
    .map(([name]) =>
      (keys[name as keyof ProtocolKeys] as unknown as (shard: string) => string).call(keys, 's00'),
    );
  assert.deepEqual([...keys.ofShard('s00')].sort(), methods.sort());
});
