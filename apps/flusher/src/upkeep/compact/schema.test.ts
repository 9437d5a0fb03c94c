import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Column } from '@miniodb/core/table/schema.ts';
import { schemaOfFiles } from './schema.ts';

const schema = (...columns: readonly Column[]) =>
  new Map(columns.map((column) => [column.name.toLowerCase(), column]));

test('columns are as wide as the files need, not as the table is, in the order of the table', () => {
  const table = schema(
    { name: 'B', type: 'json' },
    { name: 'a', type: 'varchar_lossy' },
    { name: 'unused', type: 'json' },
  );
  const files: { columns: [string, string][] }[] = [
    {
      columns: [
        ['a', 'int53'],
        ['B', 'varchar'],
        ['~payload', 'raw'],
      ],
    },
    { columns: [['a', 'double']] },
  ];
  assert.deepEqual(
    [...schemaOfFiles(files, table)],
    [
      ['b', { name: 'B', type: 'varchar' }],
      ['a', { name: 'a', type: 'double' }],
    ],
  );
});
