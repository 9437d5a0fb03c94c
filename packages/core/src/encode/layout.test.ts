import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LayoutMode, LayoutSettings } from './encoder.ts';
import { type PlannedFile, planLayout, summariseDays } from './layout.ts';

interface Group {
  readonly day: string;
  readonly id: string;
  readonly rows: number;
}

const AUTO: LayoutSettings = { mode: 'auto', filesMax: 10, ownIdsMax: 2, ownRowsMin: 100 };

function group(day: number, id: string, rows = 1): Group {
  return { day: `2026-01-0${day}`, id, rows };
}

function plan(groups: readonly Group[], settings: Partial<LayoutSettings> = {}): PlannedFile[] {
  const all = { ...AUTO, ...settings };
  return planLayout(summariseDays(groups, all.filesMax), all);
}

/** As `kind day[,day] [id]` for reading. */
function shown(files: readonly PlannedFile[]): string[] {
  return files.map(({ kind, days, id }) =>
    [kind, days.map((day) => day.slice(-1)).join(), id].filter((part) => part !== undefined).join(' '),
  );
}

function filesOf(files: readonly PlannedFile[], { day, id }: Group): PlannedFile[] {
  return files.filter((file) => {
    if (!file.days.includes(day)) return false;
    return file.kind === 'id' ? file.id === id : !file.exceptIds.includes(id);
  });
}

test('a day with a handful of ids gives each a file of its own', () => {
  assert.deepEqual(shown(plan([group(1, 'b'), group(1, 'a')])), ['id 1 a', 'id 1 b']);
});

test('on a day with more ids, those with many rows have files of their own and the rest share a packed one', () => {
  const files = plan([group(1, 'a'), group(1, 'b', 99), group(1, 'c', 100), group(1, 'd', 500)]);
  assert.deepEqual(shown(files), ['id 1 c', 'id 1 d', 'packed 1']);
  assert.deepEqual(files.at(-1)?.exceptIds, ['c', 'd']);
});

test('a rest of one id is a file of that id', () => {
  assert.deepEqual(shown(plan([group(1, 'a'), group(1, 'b', 100), group(1, 'c', 100)])), [
    'id 1 a',
    'id 1 b',
    'id 1 c',
  ]);
});

test('beyond the cap, the ids with the fewest rows fall back to the packed file of their day', () => {
  const groups = [group(1, 'a', 5), group(1, 'b', 6), group(2, 'c', 1), group(2, 'd', 2), group(2, 'e', 3)];
  assert.deepEqual(shown(plan(groups, { ownIdsMax: 9, filesMax: 5 })).length, 5);
  assert.deepEqual(shown(plan(groups, { ownIdsMax: 9, filesMax: 4 })), [
    'id 1 a',
    'id 1 b',
    'id 2 e',
    'packed 2',
  ]);
  assert.deepEqual(shown(plan(groups, { ownIdsMax: 9, filesMax: 3 })), ['id 1 a', 'id 1 b', 'packed 2']);
  assert.deepEqual(shown(plan(groups, { ownIdsMax: 9, filesMax: 2 })), ['packed 1', 'packed 2']);
});

test('when one file a day is too many, the days with the fewest rows share one mixed file', () => {
  const groups = [group(1, 'a', 5), group(2, 'b', 1), group(3, 'c', 9), group(3, 'd', 9), group(4, 'a', 2)];
  assert.deepEqual(shown(plan(groups, { filesMax: 3 })), ['id 1 a', 'packed 3', 'mixed 2,4']);
  assert.deepEqual(shown(plan(groups, { filesMax: 1 })), ['mixed 1,2,3,4']);
});

test('packed packs even a single id', () => {
  assert.deepEqual(shown(plan([group(1, 'a'), group(2, 'a'), group(2, 'b')], { mode: 'packed' })), [
    'packed 1',
    'packed 2',
  ]);
});

test('id gives every id a file of its own, and over the cap falls back as auto does', () => {
  const groups = ['a', 'b', 'c', 'd'].map((id, at) => group(1, id, at + 1));
  assert.deepEqual(shown(plan(groups, { mode: 'id' })), ['id 1 a', 'id 1 b', 'id 1 c', 'id 1 d']);
  assert.deepEqual(shown(plan(groups, { mode: 'id', filesMax: 3 })), ['id 1 c', 'id 1 d', 'packed 1']);
});

test('a cap below one file is a programmer error', () => {
  assert.throws(() => plan([group(1, 'a')], { filesMax: 0 }), { code: 'invariant_violated' });
});

const groupsArbitrary = fc.uniqueArray(
  fc.record({
    day: fc.integer({ min: 1, max: 7 }).map((day) => `2026-01-0${day}`),
    id: fc.constantFrom('a', 'b', 'c', 'd', 'e', '\u{10000}', '\uffff', ''),
    rows: fc.integer({ min: 1, max: 3 }),
  }),
  { minLength: 1, size: 'medium', selector: ({ day, id }) => day + id },
);
const settingsArbitrary: fc.Arbitrary<LayoutSettings> = fc.record({
  mode: fc.constantFrom<LayoutMode>('auto', 'id', 'packed'),
  filesMax: fc.integer({ min: 1, max: 9 }),
  ownIdsMax: fc.integer({ min: 0, max: 5 }),
  ownRowsMin: fc.integer({ min: 1, max: 4 }),
});

test('every group is in exactly one file, no file is empty, and there are never more files than the cap', () => {
  fc.assert(
    fc.property(groupsArbitrary, settingsArbitrary, (groups, settings) => {
      const files = plan(groups, settings);
      assert.ok(files.length <= settings.filesMax);
      for (const each of groups) assert.equal(filesOf(files, each).length, 1);
      for (const file of files) assert.ok(groups.some((each) => filesOf(files, each).includes(file)));
    }),
  );
});

test('the plan does not depend on the order of the groups', () => {
  fc.assert(
    fc.property(groupsArbitrary, settingsArbitrary, (groups, settings) => {
      assert.deepEqual(plan(groups.toReversed(), settings), plan(groups, settings));
    }),
  );
});

test('a mixed file appears only when there are more days than files', () => {
  fc.assert(
    fc.property(groupsArbitrary, settingsArbitrary, (groups, settings) => {
      const days = new Set(groups.map(({ day }) => day)).size;
      assert.equal(
        plan(groups, settings).some(({ kind }) => kind === 'mixed'),
        days > settings.filesMax,
      );
    }),
  );
});

test('small ids may be left out of the summary of a day with very many', () => {
  fc.assert(
    fc.property(groupsArbitrary, settingsArbitrary, (groups, settings) => {
      const auto: LayoutSettings = { ...settings, mode: 'auto' };
      const full = summariseDays(groups, auto.filesMax);
      const cut = full.map((day) =>
        day.ids <= Math.max(auto.ownIdsMax, auto.filesMax)
          ? day
          : { ...day, top: day.top.filter(({ rows }) => rows >= auto.ownRowsMin) },
      );
      assert.deepEqual(planLayout(cut, auto), planLayout(full, auto));
    }),
  );
});
