import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import type { ColumnType } from '@miniodb/core/table/schema.ts';
import type { LiveTable, Tables } from '../table/tables.ts';
import { Profile } from './accept.ts';
import { GroupCommit, type Submission } from './batch.ts';
import type { Enqueued, Enqueuer, Group } from './enqueue.ts';

const ENQUEUED: Enqueued = {
  duplicate: false,
  position: 'g:1',
  seq: '1',
  put: undefined,
  madeColumns: false,
};

/** Of a gateway only the grouping: enqueues are answered by `enqueue`, from the types that a group has of `c`. */
function groupsOf(
  typeConflict: 'widen' | 'reject',
  enqueue: (type: ColumnType | undefined) => Promise<Enqueued>,
): { readonly submit: (type: ColumnType) => Promise<Enqueued>; readonly sizes: number[] } {
  const config = { ...DEFAULT_TABLE_CONFIG, type_conflict: typeConflict };
  const table = { name: 't', generation: 'g', config, schema: new Map() } as unknown as LiveTable;
  const tables = { current: async () => table } as unknown as Tables;
  const sizes: number[] = [];
  const enqueuer = {
    async enqueue(group: Group) {
      sizes.push(group.rows.length);
      return await enqueue(group.profile.types.get('c'));
    },
  } as unknown as Enqueuer;
  const groups = new GroupCommit(tables, enqueuer);
  const submit = (type: ColumnType) => {
    const profile = new Profile();
    profile.add('c', type);
    const rows = [
      { id: 'a', lines: Buffer.alloc(0), lineAt: 0, lineEnd: 0, micros: 0, exactMicros: undefined },
    ];
    const submission: Submission = { rows, bytes: 1, profile, acceptedMs: 1, dedup: undefined };
    return groups.submit(table, submission);
  };
  return { submit, sizes };
}

test('when a group is refused for its types, its members are enqueued one by one', async () => {
  const { submit, sizes } = groupsOf('reject', async (type) => {
    if (type !== 'double') return ENQUEUED;
    throw new MiniodbError('invalid_argument', 'c is BIGINT', { code: 'type_conflict' });
  });
  // The first two go at once, each alone; the others collect meanwhile. Put alone knows that c is BIGINT, so a double fits.
  const types = ['int53', 'int53', 'double', 'int53', 'int53', 'int53'] as const;
  const outcomes = await Promise.allSettled(types.map(submit));
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    types.map((type) => (type === 'double' ? 'rejected' : 'fulfilled')),
  );
  assert.deepEqual(sizes, [1, 1, 4, 1, 1, 1, 1]);
});

test('rows that conflict with each other are not enqueued together where conflicts are refused', async () => {
  const types = ['int53', 'int53', 'int53', 'int64', 'boolean', 'boolean', 'int53', 'varchar'] as const;
  for (const [typeConflict, expected] of [
    ['reject', [1, 1, 2, 2, 1, 1]],
    ['widen', [1, 1, 6]],
  ] as const) {
    const { submit, sizes } = groupsOf(typeConflict, async () => ENQUEUED);
    await Promise.all(types.map(submit));
    assert.deepEqual(sizes, expected, typeConflict);
  }
});
