import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ShardState } from '@miniodb/core/queue/seals.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { dueInMs, dueReason, isOverdue, isSettled, orphanSeals } from './due.ts';
import { besidesMax } from './tasks.ts';

const NOW_MS = 1_800_000_000_000;
const CONFIG = { ...DEFAULT_TABLE_CONFIG, buffer_size: 100, flush_interval_seconds: 10 };
const NOTHING: ShardState = {
  config: new Map(),
  nowMs: NOW_MS,
  unsealed: { rows: 0, bytes: 0, batches: 0 },
  oldestAcceptedMs: undefined,
  isAsked: false,
  seals: [],
  jobsWaiting: 0,
  jobsActive: 0,
  setAside: 0,
};

function pending(rows: number, ageMs: number, more: Partial<ShardState['unsealed']> = {}): ShardState {
  return { ...NOTHING, unsealed: { rows, bytes: 1, batches: 1, ...more }, oldestAcceptedMs: NOW_MS - ageMs };
}

test('a shard is due by rows, age, bytes or batches, and not before', () => {
  assert.equal(dueReason(NOTHING, CONFIG), undefined);
  assert.equal(dueReason(pending(99, 9_999), CONFIG), undefined);
  assert.equal(dueReason(pending(100, 0), CONFIG), 'rows');
  assert.equal(dueReason(pending(1, 10_000), CONFIG), 'age');
  assert.equal(dueReason(pending(1, 0, { bytes: 32 * 1_048_576 }), CONFIG), 'bytes');
  assert.equal(dueReason(pending(1, 0, { batches: 1_000 }), CONFIG), 'batches');
});

test('what is asked for is due at once, unless flushes are paused', () => {
  const asked = { ...pending(1, 0), isAsked: true };
  assert.equal(dueReason(asked, CONFIG), 'asked');
  assert.equal(dueInMs(asked, CONFIG), 0);
  assert.equal(dueReason(asked, { ...CONFIG, flush_paused: true }), undefined);
  // Which tells that nothing but the asking makes it due.
  assert.equal(dueReason({ ...pending(100, 0), isAsked: true }, CONFIG), 'rows');
});

test('a flush that is only asked for waits for those of its shard', () => {
  assert.equal(besidesMax({ kind: 'seal', reason: 'asked' }, 2), 1);
  assert.equal(besidesMax({ kind: 'seal', reason: 'rows' }, 2), 2);
  assert.equal(besidesMax({ kind: 'drive', sealId: 'a' }, 2), 2);
});

test('a shard that its owner leaves for several intervals is anybody’s', () => {
  assert.equal(isOverdue(pending(1, 39_999), CONFIG), false);
  assert.equal(isOverdue(pending(1, 40_000), CONFIG), true);
  assert.equal(isOverdue({ ...NOTHING, seals: [{ id: 'a', sealedMs: NOW_MS - 40_000 }] }, CONFIG), true);
  assert.equal(isOverdue(NOTHING, CONFIG), false);
});

test('seals are driven on when nobody here holds them and they are no longer fresh', () => {
  const seals = [
    { id: 'held', sealedMs: NOW_MS - 60_000 },
    { id: 'fresh', sealedMs: NOW_MS - 100 },
    { id: 'orphan', sealedMs: NOW_MS - 6_000 },
  ];
  assert.deepEqual(orphanSeals({ ...NOTHING, seals }, new Set(['held'])), ['orphan']);
});

test('a hint may go only when nothing is pending, sealed or queued', () => {
  assert.equal(isSettled(NOTHING), true);
  assert.equal(isSettled(pending(1, 0)), false);
  assert.equal(isSettled({ ...NOTHING, seals: [{ id: 'a', sealedMs: NOW_MS }] }), false);
  assert.equal(isSettled({ ...NOTHING, jobsWaiting: 1 }), false);
  assert.equal(isSettled({ ...NOTHING, jobsActive: 1 }), false);
});
