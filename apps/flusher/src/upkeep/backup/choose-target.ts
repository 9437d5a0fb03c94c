import { type BackupManifest, configOf } from '@miniodb/core/backup/manifest.ts';
import type { RestoreRequest } from '@miniodb/core/backup/requests.ts';
import { redisTimeMs } from '@miniodb/core/redis/client.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { alterTable } from '@miniodb/core/table/alter.ts';
import type { Table } from '@miniodb/core/table/catalog.ts';
import { dropTable } from '@miniodb/core/table/drop.ts';
import { rfc3339FromMs } from '@miniodb/core/table/timestamp.ts';
import type { BackupContext } from './context.ts';
import { tableGone } from './instant.ts';

/** How often a table may be dropped or created under our hands. */
const ATTEMPTS_MAX = 5;

export type SaveState = (state: Partial<RestoreRequest['state']>) => Promise<void>;

/**
 * The incarnation that is restored into, with at least as many shards as the backup has; dropped first, or created, as the
 * request wants. What was decided is saved before it is done: whoever goes on after a crash drops no second table, and
 * restores into no other.
 * Throws `table_not_empty`, `table_archived`, `table_gone`, `too_many_tables`.
 */
export async function chooseTarget(
  context: BackupContext,
  request: RestoreRequest,
  manifest: BackupManifest,
  save: SaveState,
): Promise<Table> {
  const { catalog } = context;
  const { target, state } = request;
  if (state.generation !== undefined) {
    const live = await catalog.read(target);
    if (live?.generation !== state.generation) throw tableGone(target);
    return grown(context, live, manifest);
  }
  let replaces = state.replaces;
  if (request.mode === 'replace' && replaces === undefined) {
    replaces = (await catalog.read(target))?.generation ?? '';
    await save({ replaces });
  }
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const live = await catalog.read(target);
    if (live === undefined) await create(context, request, manifest);
    else if (live.generation === replaces) await drop(context, request, live);
    else {
      if (request.mode === 'empty') await requireEmpty(context, live);
      if (live.status === 'archived') {
        throw new MiniodbError('failed_precondition', `table ${target} is archived: it takes no rows`, {
          code: 'table_archived',
        });
      }
      // Before anything is written into it. What others have written since a replaced one went, stays.
      await save({ generation: live.generation });
      return grown(context, live, manifest);
    }
  }
  throw new MiniodbError('unavailable', `table ${target} is dropped and created all the time`, {
    code: 'table_contended',
    retryAfterMs: 500,
  });
}

async function create(
  { redis, catalog, defaults }: BackupContext,
  { target, tablesMax, owner }: RestoreRequest,
  manifest: BackupManifest,
): Promise<void> {
  const nowMs = await redisTimeMs(redis).catch((error: unknown) => {
    throw classifyRedisError(error);
  });
  await catalog.create(target, configOf(manifest, defaults), tablesMax, rfc3339FromMs(nowMs), owner);
}

async function drop({ redis, fixed }: BackupContext, { by }: RestoreRequest, live: Table): Promise<void> {
  await dropTable(redis, fixed, live.name, live.generation, { cascade: true, by });
}

async function requireEmpty({ redis, fixed }: BackupContext, { name }: Table): Promise<void> {
  let rows: string | null;
  try {
    rows = await redis.hget(fixed.stats(name), 'record_count');
  } catch (error) {
    throw classifyRedisError(error);
  }
  if (rows === null || rows === '0') return;
  throw new MiniodbError(
    'failed_precondition',
    `table ${name} is not empty: it holds ${rows} rows; replace drops them first, append leaves them`,
    { code: 'table_not_empty' },
  );
}

/** Files keep the shards of the table that they come from: queries look at no shard beyond the table's own. */
async function grown(
  { redis, fixed, catalog }: BackupContext,
  table: Table,
  manifest: BackupManifest,
): Promise<Table> {
  if (table.config.shards >= manifest.shards) return table;
  const change = { set: { shards: manifest.shards }, unset: [], status: undefined };
  const answer = await alterTable(redis, fixed, table.name, table.generation, change);
  if (answer.status === 'gone') throw tableGone(table.name);
  const after = await catalog.read(table.name);
  if (after?.generation !== table.generation) throw tableGone(table.name);
  return after;
}
