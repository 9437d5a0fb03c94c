import type { BackupFile } from '@miniodb/core/backup/manifest.ts';
import { type DuckDBConnection, sqlString } from '@miniodb/core/duckdb/instance.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';

const OVERFLOW_COLUMN = '~overflow';

/**
 * Holds a file against what the manifest says of it: rows, and columns by name. Whoever writes a manifest can give it a
 * hash that fits; a file that says something else must not get into an index. Throws `backup_object_invalid`.
 */
export async function checkFile(
  connection: DuckDBConnection,
  path: string,
  { entry }: BackupFile,
): Promise<void> {
  const invalid = (why: string, cause?: unknown) =>
    new MiniodbError(
      'data_corrupted',
      `the backup's copy of ${entry.key} is not what the manifest says: ${why}`,
      {
        code: 'backup_object_invalid',
        cause,
      },
    );
  let rows: bigint;
  let names: string[];
  try {
    const counted = await connection.runAndReadAll(
      `SELECT num_rows FROM parquet_file_metadata(${sqlString(path)})`,
    );
    rows = BigInt(String(counted.getRows()[0]?.[0]));
    const described = await connection.runAndReadAll(
      `DESCRIBE SELECT * FROM read_parquet(${sqlString(path)})`,
    );
    names = described.getRows().map(([name]) => String(name));
  } catch (error) {
    throw invalid('it is no Parquet file', error);
  }
  if (rows !== BigInt(entry.rows)) throw invalid(`it has ${rows} rows and not ${entry.rows}`);
  const expected = ['id', 'timestamp', ...entry.columns.map(([name]) => name)];
  if (entry.overflow) expected.push(OVERFLOW_COLUMN);
  const missing = expected.find((name) => !names.includes(name));
  if (missing !== undefined) throw invalid(`it has no column ${missing}`);
  if (names.length !== expected.length)
    throw invalid(`it has ${names.length} columns and not ${expected.length}`);
}
