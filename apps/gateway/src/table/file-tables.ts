import type { Redis } from '@miniodb/core/redis/client.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import { type ApplyAnswer, applyFileConfig } from '@miniodb/core/table/apply-file.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import type { TableConfigInput } from '@miniodb/core/table/config.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';
import { rfc3339FromMs } from '@miniodb/core/table/timestamp.ts';
import type { GatewayConfig } from '../config.ts';

/** Somebody who drops a table just while a gateway starts may do so this often. */
const ATTEMPTS_MAX = 3;

/**
 * Makes the tables of the configuration file that are missing, and takes over what was edited in the file since a gateway
 * last read it. Throws as Catalog.create does.
 */
export async function ensureFileTables(
  redis: Redis,
  fixed: FixedKeys,
  nowMs: () => number,
  config: Pick<GatewayConfig, 'fileTables' | 'tablesMax' | 'tableDefaults'>,
  log: Log,
): Promise<void> {
  const catalog = new Catalog(redis, fixed, config.tableDefaults);
  for (const [table, fields] of config.fileTables) {
    const create = () => catalog.create(table, fields, config.tablesMax, rfc3339FromMs(nowMs()));
    const { created, fields: changed } = await ensure(create, () =>
      applyFileConfig(redis, fixed, table, fields),
    );
    if (created) log.info({ event: 'table_created_by_file', table });
    for (const [field, outcome] of changed) logField(log, table, field, outcome, fields);
  }
}

async function ensure(
  create: () => Promise<'created' | 'exists'>,
  apply: () => Promise<ApplyAnswer>,
): Promise<{ readonly created: boolean; readonly fields: Extract<ApplyAnswer, { status: 'ok' }>['fields'] }> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
    const created = (await create()) === 'created';
    const applied = await apply();
    if (applied.status === 'ok') return { created, fields: applied.fields };
  }
  throw new MiniodbError('failed_precondition', 'a table of the file is being dropped: start again later', {
    code: 'table_gone',
  });
}

function logField(
  log: Log,
  table: string,
  field: string,
  outcome: 'set' | 'inherited' | 'kept' | 'smaller',
  fields: TableConfigInput,
): void {
  if (outcome === 'smaller') {
    const warning = 'shards only grow: the smaller number of the file is not taken';
    log.warn({ event: 'file_shards_ignored', table, shards: fields.shards, warning });
    return;
  }
  log.info({ event: 'table_field_by_file', table, field, outcome });
}
