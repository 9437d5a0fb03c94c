import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { IndexedFile } from '@miniodb/core/index/plan.ts';
import { objectName } from '@miniodb/core/table/object-name.ts';
import { CHOICE_LIMITS, chooseCompactions } from './choose.ts';

const MIB = 1_048_576;
const DAY = '2026-01-05';
let made = 0;

function file(sizeBytes: number, folder = '~s00', day = DAY, rows = 1): IndexedFile {
  made += 1;
  const maker = made.toString(16).padStart(20, '0');
  const entry = {
    v: 1,
    key: `t/${folder}/${day}/${objectName(made, 'abc', maker, 1, 1, '0'.repeat(64))}`,
    sha256: '0'.repeat(64),
    sizeBytes,
    rows,
    minTs: '0',
    maxTs: '0',
    minId: 'a',
    maxId: 'a',
    acceptedMs: made,
    columns: [],
    overflow: false,
  } as const;
  return { partition: `s00:${day}`, fileId: `${maker}-1`, entry: { ...entry, columns: [] } };
}

const files = (count: number, ...args: Parameters<typeof file>) =>
  Array.from({ length: count }, () => file(...args));

const choose = (...lists: readonly IndexedFile[][]) => chooseCompactions(lists.flat(), CHOICE_LIMITS);

describe('files are merged', () => {
  test('when there are enough of about their size, and never before', () => {
    assert.deepEqual(choose(files(7, 1_000)), []);
    const small = files(8, 1_000);
    assert.deepEqual(choose(small), [{ kind: 'merge', inputs: small }]);
    // Eight files, of two sizes: merging the small ones into a large one would write it again and again.
    assert.deepEqual(choose(files(7, 1_000), files(1, 10 * MIB)), []);
  });

  test('with those of their folder and day only', () => {
    assert.deepEqual(choose(files(5, 1_000, 'a'), files(5, 1_000, 'b')), []);
    assert.deepEqual(choose(files(5, 1_000), files(5, 1_000, '~s00', '2026-01-06')), []);
  });

  test('until they are large', () => {
    assert.deepEqual(choose(files(20, 64 * MIB)), []);
    const rows = CHOICE_LIMITS.rowsMax / 2;
    assert.deepEqual(choose(files(20, 1_000, '~s00', DAY, rows)), []);
  });

  test('into files of bounded bytes, rows and inputs, the oldest first', () => {
    const many = files(1_100, 1_000);
    assert.deepEqual(
      choose(many.toReversed()).map(({ inputs }) => inputs),
      [many.slice(0, 512), many.slice(512, 1_024), many.slice(1_024)],
    );
    assert.deepEqual(
      choose(files(40, 10 * MIB)).map(({ inputs }) => inputs.length),
      [12, 12, 12],
    );
    assert.deepEqual(
      choose(files(40, 1_000, '~s00', DAY, 2_000_000)).map(({ inputs }) => inputs.length),
      [10, 10, 10, 10],
    );
  });
});

test('mixed files are split, however few and however large', () => {
  const mixed = files(1, 100 * MIB, '~s00', '~mixed');
  assert.deepEqual(choose(mixed), [{ kind: 'split', inputs: mixed }]);
});

test('a byte is written a few times, however many flushes there are', () => {
  let all = files(4_096, 100_000);
  const total = 4_096 * 100_000;
  let written = 0;
  for (let choices = choose(all); choices.length > 0; choices = choose(all)) {
    const inputs = new Set(choices.flatMap((choice) => choice.inputs));
    all = all.filter((each) => !inputs.has(each));
    for (const choice of choices) {
      const bytes = choice.inputs.reduce((sum, { entry }) => sum + entry.sizeBytes, 0);
      written += bytes;
      all.push(file(bytes));
    }
  }
  assert.ok(written <= 5 * total, `${written / total} times`);
  assert.ok(all.length < 16, `${all.length} files`);
});
