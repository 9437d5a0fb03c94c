import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MiniodbError } from '../runtime/errors.ts';
import { sha256Of } from '../storage/sha256.ts';
import { type BackupManifest, decodeManifest, encodeManifest, mayHold } from './manifest.ts';
import { checkBackupSpec, newBackupId, newestOf } from './names.ts';

const ID = 'backup-20240115-101500-3fa9c1';
const HASH = 'a'.repeat(64);

function manifest(changes: Partial<BackupManifest> = {}): Omit<BackupManifest, 'format'> {
  return {
    id: ID,
    table: 't',
    generation: 'abc',
    createdAt: '2024-01-15T10:15:00.000000Z',
    by: 'me',
    shards: 2,
    shardHistory: [2],
    isMixed: false,
    config: { buffer_size: '5' },
    schema: [['n', 'int53:n']],
    files: [file('t/a/2024-01-01/1-abc-ff-1of1-aaaaaaaaaaaaaaaa.parquet')],
    packs: [
      {
        sha256: HASH,
        sizeBytes: 10,
        batches: [{ id: 'b-0', shard: 's00', offset: 0, meta: '1:2:10:30:1:5:6:0' }],
      },
    ],
    totals: { rows: 5, files: 1, pendingRows: 2, bytes: 40 },
    ...changes,
  };
}

function file(key: string, shard = 's01', day = '2024-01-01'): BackupManifest['files'][number] {
  return {
    shard,
    day,
    entry: {
      v: 1,
      key,
      sha256: HASH,
      sizeBytes: 30,
      rows: 3,
      minTs: '1704067200000000',
      maxTs: '1704067200000001',
      minId: 'a',
      maxId: 'a',
      acceptedMs: 1,
      columns: [['n', 'int53']],
      overflow: false,
    },
  };
}

const codeOf = (bytes: Uint8Array, table = 't', id = ID) => {
  try {
    decodeManifest(bytes, table, id);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof MiniodbError, String(error));
    return error.code;
  }
};

/** With a hash that fits: whoever can write into the bucket can make one. */
function forged(change: (text: string) => string): Buffer {
  const text = encodeManifest(manifest()).toString();
  const body = change(text.slice(text.indexOf('"manifest":') + 11, -2));
  return Buffer.from(`{"sha256":"${sha256Of(Buffer.from(body))}","manifest":${body}}\n`);
}

describe('a manifest', () => {
  test('is read as it was written', () => {
    const { format, ...read } = decodeManifest(encodeManifest(manifest()), 't', ID);
    assert.deepEqual([format, read], [1, manifest()]);
  });

  test('of which a byte is another, or the end is missing, is damaged', () => {
    const bytes = encodeManifest(manifest());
    for (const at of [0, 20, 90, 300, bytes.length - 3]) {
      const changed = Buffer.from(bytes);
      changed[at] = changed[at]! ^ 1;
      assert.equal(codeOf(changed), 'backup_manifest_damaged', `byte ${at}`);
    }
    assert.equal(codeOf(bytes.subarray(0, -1)), 'backup_manifest_damaged');
    assert.equal(codeOf(Buffer.alloc(0)), 'backup_manifest_damaged');
  });

  test('of a newer format is refused as such', () => {
    assert.equal(
      codeOf(forged((text) => text.replace('"format":1', '"format":2'))),
      'backup_format_unsupported',
    );
  });

  test('of another table, or of another id, is not the one that was asked for', () => {
    const bytes = encodeManifest(manifest());
    assert.equal(codeOf(bytes, 'u'), 'backup_manifest_invalid');
    assert.equal(codeOf(bytes, 't', 'backup-20240115-101500-000000'), 'backup_manifest_invalid');
  });

  for (const [what, key] of [
    ['of another table', 'u/a/2024-01-01/1-abc-ff-1of1-aaaaaaaaaaaaaaaa.parquet'],
    ['of another incarnation', 't/a/2024-01-01/1-abd-ff-1of1-aaaaaaaaaaaaaaaa.parquet'],
    ['that leads out of the table', 't/../../x/2024-01-01/1-abc-ff-1of1-aaaaaaaaaaaaaaaa.parquet'],
    ['in the folder ..', 't/../2024-01-01/1-abc-ff-1of1-aaaaaaaaaaaaaaaa.parquet'],
    ['in the folder of another id', 't/b/2024-01-01/1-abc-ff-1of1-aaaaaaaaaaaaaaaa.parquet'],
    ['in the folder of another shard', 't/~s00/2024-01-01/1-abc-ff-1of1-aaaaaaaaaaaaaaaa.parquet'],
    ['of another day', 't/a/2024-01-02/1-abc-ff-1of1-aaaaaaaaaaaaaaaa.parquet'],
  ] as const) {
    test(`with a key ${what} is not valid, though its hash fits`, () => {
      const bytes = forged((text) => text.replace(manifest().files[0]!.entry.key, key));
      assert.equal(codeOf(bytes), 'backup_manifest_invalid');
    });
  }

  for (const [what, from, to] of [
    ['totals that do not add up', '"rows":5', '"rows":6'],
    ['a batch beyond its pack', '"sizeBytes":10', '"sizeBytes":9'],
    ['a shard that the table has not', '"shard":"s00"', '"shard":"s02"'],
    [
      'a SHA-256 that is none',
      `"sha256":"${HASH}","sizeBytes":30`,
      `"sha256":"${'.'.repeat(64)}","sizeBytes":30`,
    ],
  ] as const) {
    test(`with ${what} is not valid, though its hash fits`, () => {
      assert.equal(codeOf(forged((text) => text.replace(from, to))), 'backup_manifest_invalid');
    });
  }

  test('says which files may hold rows of an id or a day', () => {
    const [only] = manifest().files as [BackupManifest['files'][number]];
    assert.deepEqual(
      [{ id: 'a' }, { id: 'b' }, { day: '2024-01-01' }, { day: '2024-01-02' }].map((filter) =>
        mayHold(only, filter),
      ),
      [true, false, true, false],
    );
    const mixed = { ...only, day: '~mixed', entry: { ...only.entry, minId: 'B', maxId: 'z' } };
    assert.deepEqual(
      [{ id: 'A' }, { id: 'q' }, { day: '2024-01-01' }, { day: '2023-12-31' }].map((filter) =>
        mayHold(mixed, filter),
      ),
      [false, true, true, false],
    );
  });
});

describe('the name of a backup', () => {
  test('has the time it was made, in UTC', () => {
    assert.match(newBackupId(Date.UTC(2024, 0, 15, 10, 15, 0, 999)), /^backup-20240115-101500-[0-9a-f]{6}$/);
  });

  test('that is a bare date means the newest of that day, and the empty one the newest of all', () => {
    const ids = [
      'backup-20240115-235959-000000',
      'backup-20240115-101500-ffffff',
      'backup-20240116-000000-000000',
    ];
    assert.equal(newestOf('backup-20240115', ids), ids[0]);
    assert.equal(newestOf('backup-20240115-101500', ids), ids[1]);
    assert.equal(newestOf(ids[1]!, ids), ids[1]);
    assert.equal(newestOf('', ids), ids[2]);
    assert.equal(newestOf('backup-20240117', ids), undefined);
  });

  test('is refused when it is none', () => {
    for (const spec of ['backup', 'backup-2024', '../x', 'backup-20240115/..', 'restore-20240115']) {
      assert.throws(
        () => checkBackupSpec(spec),
        (error: MiniodbError) => error.code === 'invalid_backup_id',
      );
    }
  });
});
