import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { chooseNext, type Load, shardMax, type Waiting } from './choose.ts';
import { Turns } from './turns.ts';

const work = (table: string, sinceMs: number, more: Partial<Waiting> = {}): Waiting => ({
  table,
  shard: `${table}|s00`,
  sinceMs,
  tableMax: 8,
  shardMax: 8,
  ...more,
});
const load = (slots: number, running: readonly Waiting[], turns: Record<string, number> = {}): Load => ({
  slots,
  running,
  turnOf: (table) => turns[table] ?? 0,
});

describe('the next flush', () => {
  test('is what was due first when nobody has had a turn', () => {
    const waiting = [work('a', 3), work('b', 1), work('c', 2)];
    assert.equal(chooseNext(waiting, load(3, []))?.table, 'b');
  });

  test('is of the table that has held slots for less time, however late it became due', () => {
    const waiting = [work('noisy', 1), work('quiet', 9)];
    assert.equal(chooseNext(waiting, load(2, [], { noisy: 500 }))?.table, 'quiet');
  });

  test('is none while all slots are taken', () => {
    assert.equal(chooseNext([work('a', 1)], load(1, [work('b', 0)])), undefined);
  });

  test('leaves the last slot to tables that run nothing', () => {
    const running = [work('noisy', 0), work('noisy', 0)];
    assert.equal(chooseNext([work('noisy', 1)], load(3, running)), undefined);
    assert.equal(chooseNext([work('noisy', 1), work('quiet', 2)], load(3, running))?.table, 'quiet');
  });

  test('may be any table’s when there is only one slot', () => {
    assert.equal(chooseNext([work('noisy', 1)], load(1, []))?.table, 'noisy');
  });

  test('keeps to what a table and a shard may run at once', () => {
    const running = [work('a', 0, { shard: 'a|s01' })];
    assert.equal(chooseNext([work('a', 1, { tableMax: 1 })], load(8, running)), undefined);
    assert.equal(chooseNext([work('a', 1, { shard: 'a|s01', shardMax: 1 })], load(8, running)), undefined);
    assert.equal(chooseNext([work('a', 1, { shard: 'a|s02', shardMax: 1 })], load(8, running))?.sinceMs, 1);
  });
});

test('a shard has one flush at a time unless its table is allowed more than it has shards here', () => {
  assert.equal(shardMax(2, 2), 1);
  assert.equal(shardMax(1, 4), 1);
  assert.equal(shardMax(4, 1), 4);
  assert.equal(shardMax(3, 2), 2);
  assert.equal(shardMax(2, 0), 2);
});

describe('over time', () => {
  /** Tables with a flush after the other, each of a duration of its own. @returns ms that each table held slots */
  function simulate(slots: number, durationsMs: readonly number[], untilMs: number): number[] {
    const turns = new Turns();
    const held = durationsMs.map(() => 0);
    const running: { work: Waiting; at: number; endMs: number }[] = [];
    for (let nowMs = 0; nowMs < untilMs; ) {
      const waiting = durationsMs.map((_, at) => work(`t${at}`, 0, { tableMax: 1 }));
      const loadNow: Load = {
        slots,
        running: running.map((run) => run.work),
        turnOf: (table) => turns.turnOf(table),
      };
      const next = chooseNext(waiting, loadNow);
      if (next !== undefined) {
        const at = Number(next.table.slice(1));
        turns.took(next.table);
        running.push({ work: next, at, endMs: nowMs + durationsMs[at]! });
        continue;
      }
      running.sort((a, b) => a.endMs - b.endMs);
      const done = running.shift()!;
      nowMs = done.endMs;
      held[done.at]! += durationsMs[done.at]!;
      turns.held(done.work.table, durationsMs[done.at]!);
    }
    return held;
  }

  test('every table holds slots for about as long as every other, whatever one flush of it takes', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 2, maxLength: 6 }), (durations) => {
        const held = simulate(1, durations, 20_000);
        const spread = Math.max(...held) - Math.min(...held);
        assert.ok(spread <= 2 * Math.max(...durations), `${held}`);
      }),
    );
  });

  test('a table that comes back finds no debt and no credit', () => {
    const turns = new Turns();
    turns.took('busy');
    turns.held('busy', 10_000);
    turns.took('busy');
    assert.equal(turns.turnOf('away'), turns.turnOf('busy'));
  });
});

test('a table that is due and runs nothing takes any free slot, and no bound is ever passed', () => {
  const anyWork = fc.record({
    table: fc.constantFrom('a', 'b', 'c'),
    shardAt: fc.integer({ min: 0, max: 2 }),
    sinceMs: fc.nat(100),
  });
  const limits = { tableMax: 2, shardMax: 1 };
  fc.assert(
    fc.property(fc.array(anyWork, { maxLength: 20 }), fc.integer({ min: 1, max: 6 }), (items, slots) => {
      let waiting = items.map(({ table, shardAt, sinceMs }) =>
        work(table, sinceMs, { ...limits, shard: `${table}|s0${shardAt}` }),
      );
      const running: Waiting[] = [];
      for (;;) {
        const next = chooseNext(waiting, load(slots, running));
        if (next === undefined) break;
        running.push(next);
        waiting = waiting.filter((other) => other !== next);
      }
      const count = (key: 'table' | 'shard', value: string) =>
        running.filter((run) => run[key] === value).length;
      assert.ok(running.length <= slots);
      assert.ok(running.every((run) => count('table', run.table) <= 2 && count('shard', run.shard) <= 1));
      const leftOut = waiting.filter(({ table }) => count('table', table) === 0);
      assert.ok(leftOut.length === 0 || running.length === slots);
    }),
  );
});
