import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SHARDS_MAX, shardOf } from './shard.ts';

const IDS = 100_000;
const sequentialIds = Array.from({ length: IDS }, (_, at) => `user-${at + 1}`);

describe('shardOf', () => {
  it('answers today what it answered when the first data was stored', () => {
    const golden: readonly (readonly [table: string, id: string, shards: number, shard: number])[] = [
      ['users', 'user-1', 16, 13],
      ['orders', 'user-1', 16, 3],
      ['users', '123456789012', 7, 5],
      ['users', 'a', 1024, 900],
      ['users', '日本', 256, 213],
      ['t', '😀'.repeat(256), 3, 2],
    ];
    for (const [table, id, shards, shard] of golden) {
      assert.equal(shardOf(table, id, shards), shard, `${table} ${id} of ${shards}`);
    }
  });

  it('agrees with a plain implementation over UTF-8 bytes, whatever the id', () => {
    const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.string({ maxLength: 40 }));
    fc.assert(
      fc.property(
        fc.stringMatching(/^\w{1,64}$/),
        text,
        fc.integer({ min: 1, max: SHARDS_MAX }),
        (t, id, n) => {
          assert.equal(shardOf(t, id, n), plainShardOf(t, id, n));
        },
      ),
    );
  });

  it('takes names that differ only in case for one table', () => {
    for (const id of sequentialIds.slice(0, 100))
      assert.equal(shardOf('Users', id, 64), shardOf('users', id, 64));
  });

  it('spreads different tables differently', () => {
    const same = sequentialIds.filter((id) => shardOf('users', id, 16) === shardOf('orders', id, 16)).length;
    assert.ok(Math.abs(same / IDS - 1 / 16) < 0.005, `${same} of ${IDS} ids share their shard`);
  });

  for (const shards of [2, 3, 7, 16, 256]) {
    it(`balances sequential and random ids over ${shards} shards as well as chance would`, () => {
      const randomIds = sequentialIds.map((_, at) => Math.imul(at + 1, 0x9e3779b1).toString(36));
      for (const ids of [sequentialIds, randomIds]) {
        const counts = new Array<number>(shards).fill(0);
        for (const id of ids) counts[shardOf('users', id, shards)]! += 1;
        const mean = IDS / shards;
        // A fair spread has a standard deviation of sqrt(mean): 0.2 % of it at 2 shards, 5 % at 256.
        const worst = Math.max(...counts.map((count) => Math.abs(count - mean) / Math.sqrt(mean)));
        assert.ok(worst < 4, `a shard is ${worst.toFixed(1)} standard deviations from the mean`);
      }
    });
  }

  for (const shards of [1, 2, 7, 16, 255]) {
    it(`moves ids only to the new shard, and its share of them, from ${shards} to ${shards + 1}`, () => {
      let moved = 0;
      for (const id of sequentialIds) {
        const before = shardOf('users', id, shards);
        const after = shardOf('users', id, shards + 1);
        if (after === before) continue;
        assert.equal(after, shards);
        moved += 1;
      }
      const expected = IDS / (shards + 1);
      assert.ok(Math.abs(moved - expected) < 4 * Math.sqrt(expected), `${moved} moved, ${expected} expected`);
    });
  }

  it('refuses a shard count that no table can have', () => {
    for (const shards of [0, -1, 1.5, Number.NaN, SHARDS_MAX + 1]) {
      assert.throws(() => shardOf('users', 'a', shards), { code: 'invariant_violated' });
    }
  });
});

/** The same function written for reading: 64-bit integers cut to 32 bits. */
function plainShardOf(table: string, id: string, shards: number): number {
  let state = plainMurmur3(Buffer.from(id), plainMurmur3(Buffer.from(table.toLowerCase()), 0n));
  let shard = 0;
  for (let next = 0; next < shards; ) {
    shard = next;
    state = cut(state + 0x9e3779b9n);
    next = Math.floor((shard + 1) / ((Number(plainFinalise(state)) + 1) / 2 ** 32));
  }
  return shard;
}

function plainMurmur3(bytes: Buffer, seed: bigint): bigint {
  const scramble = (block: bigint) => cut(rotate(cut(block * 0xcc9e2d51n), 15n) * 0x1b873593n);
  const padded = Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
  let hash = seed;
  for (let at = 0; at < padded.length; at += 4) {
    hash ^= scramble(BigInt(padded.readUInt32LE(at)));
    if (at + 4 <= bytes.length) hash = cut(rotate(hash, 13n) * 5n + 0xe6546b64n);
  }
  return plainFinalise(hash ^ BigInt(bytes.length));
}

function plainFinalise(word: bigint): bigint {
  let mixed = cut((word ^ (word >> 16n)) * 0x85ebca6bn);
  mixed = cut((mixed ^ (mixed >> 13n)) * 0xc2b2ae35n);
  return mixed ^ (mixed >> 16n);
}

const cut = (word: bigint) => BigInt.asUintN(32, word);
const rotate = (word: bigint, bits: bigint) => cut((word << bits) | (word >> (32n - bits)));
