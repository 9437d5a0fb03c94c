import type { BackupManifest } from '@miniodb/core/backup/manifest.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Table } from '@miniodb/core/table/catalog.ts';
import { ProtocolKeys } from '@miniodb/core/table/keys.ts';
import {
  COLUMNS_PER_TABLE_MAX,
  type Column,
  isTypeConflict,
  joinTypes,
  type TableSchema,
} from '@miniodb/core/table/schema.ts';
import { parseSchema } from '@miniodb/core/table/stored-schema.ts';

export interface JoinedSchema {
  /** Columns that the table lacks or has narrower, as they then are. */
  readonly columns: readonly (Column & { readonly folded: string })[];
  readonly schemaVersion: string;
}

/** What a table's schema becomes with the columns of a backup. Throws `schema_conflict`, `type_conflict`. */
export async function joinWithTable(
  redis: Redis,
  { name, generation, config }: Table,
  backup: BackupManifest,
): Promise<JoinedSchema> {
  const keys = new ProtocolKeys(name, generation);
  let version: string | null;
  let hash: Record<string, string>;
  try {
    // The version first: a schema that is newer than it says is refused, and joined again.
    version = await redis.hget(keys.counters, 'schema_version');
    hash = await redis.hgetall(keys.schema);
  } catch (error) {
    throw classifyRedisError(error);
  }
  const table = parseSchema(Object.entries(hash));
  const columns = joinSchemas(table, parseSchema(backup.schema), config.type_conflict === 'reject');
  return { columns, schemaVersion: version ?? '0' };
}

/** @param rejects whether no column may get another SQL type */
export function joinSchemas(
  table: TableSchema,
  backup: TableSchema,
  rejects: boolean,
): JoinedSchema['columns'] {
  const columns: (Column & { readonly folded: string })[] = [];
  let size = table.size;
  for (const [folded, { name, type }] of backup) {
    const known = table.get(folded);
    if (known === undefined) {
      size += 1;
      columns.push({ folded, name, type });
      continue;
    }
    if (known.name !== name) {
      throw conflict(
        'schema_conflict',
        `column ${known.name} of the table is called ${name} in the backup: restore into another table`,
      );
    }
    const joined = joinTypes(known.type, type);
    if (joined === known.type) continue;
    if (rejects && isTypeConflict(known.type, type)) {
      throw conflict('type_conflict', `column ${name} would change from ${known.type} to ${joined}`);
    }
    columns.push({ folded, name, type: joined });
  }
  if (size > COLUMNS_PER_TABLE_MAX) {
    throw conflict(
      'schema_conflict',
      `the table would have ${size} columns, at most ${COLUMNS_PER_TABLE_MAX} are allowed`,
    );
  }
  return columns;
}

function conflict(code: string, message: string): MiniodbError {
  return new MiniodbError('failed_precondition', message, { code });
}
