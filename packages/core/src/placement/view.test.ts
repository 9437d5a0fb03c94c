import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Member } from './members.ts';
import { nextSeen, type SeenMember } from './view.ts';

const GRACE_MS = 4_000;
const member = (id: string): Member => ({ id, role: 'querier', address: `${id}:1` });
const step = (seen: ReadonlyMap<string, SeenMember>, live: string[], nowMs: number, left: string[] = []) =>
  nextSeen(seen, live.map(member), new Set(left), nowMs, GRACE_MS);
const ids = (seen: ReadonlyMap<string, SeenMember>) => [...seen.keys()].sort().join(',');

test('a silent member stays for the grace from the first answer without it', () => {
  // The last answer with it was long ago: an outage does not count as its silence.
  let seen = step(step(new Map(), ['a', 'b'], 0), ['a'], 60_000);
  assert.equal(ids(seen), 'a,b');
  seen = step(seen, ['a'], 60_000 + GRACE_MS - 1);
  assert.equal(ids(seen), 'a,b');
  assert.equal(ids(step(seen, ['a'], 60_000 + GRACE_MS)), 'a');
});

test('a silent member that is heard again starts afresh', () => {
  let seen = step(step(new Map(), ['a', 'b'], 0), ['a'], 1_000);
  seen = step(seen, ['a', 'b'], 2_000);
  seen = step(seen, ['a'], 5_500);
  assert.equal(ids(step(seen, ['a'], 9_000)), 'a,b');
});

test('who said goodbye is gone at once', () => {
  const seen = step(new Map(), ['a', 'b', 'c'], 0);
  assert.equal(ids(step(seen, ['a'], 1, ['c'])), 'a,b');
});
