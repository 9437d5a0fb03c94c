import type { Membership } from '@miniodb/core/placement/members.ts';
import type { TaskQueue } from '@miniodb/core/queue/tasks.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { asMiniodbError, type MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { BatchInput, CallContext, GatewayApi, HealthReport, QueryInput, RowInput } from './api.ts';
import { type PingResult, sharedPing } from './ping.ts';
import { type QueryContext, runQuery } from './query/pipeline.ts';
import { type BackupsContext, backupTable, listBackups, lookAtTask, restoreTable } from './table/backup.ts';
import { cleanupTable } from './table/cleanup.ts';
import { createTable } from './table/create.ts';
import { describeTable, listTables } from './table/describe.ts';
import { dropTable } from './table/drop.ts';
import { flushTable } from './table/flush.ts';
import type { ManageContext } from './table/manage.ts';
import { listNodes } from './table/nodes.ts';
import { readStats } from './table/stats.ts';
import { updateTable } from './table/update.ts';
import { type WriteContext, writeBatch, writeRow } from './write/pipeline.ts';

export interface GatewayParts {
  readonly write: WriteContext;
  readonly query: QueryContext;
  readonly manage: ManageContext;
  readonly backups: BackupsContext;
  readonly cleanups: TaskQueue;
  readonly membership: Membership;
  readonly redis: Redis;
  readonly version: string;
}

/** What the servers call. */
export function openGateway(parts: GatewayParts): GatewayApi {
  const { write, query, manage, backups, cleanups } = parts;
  const ping = sharedPing(parts.redis);
  const counted = async <Result>(work: Promise<Result>): Promise<Result> => {
    try {
      return await work;
    } catch (thrown) {
      const error = (await realCause(thrown, manage)) ?? thrown;
      write.metrics.refused(asMiniodbError(error).code);
      throw error;
    }
  };
  return {
    writeRow: (table: string, row: RowInput, call: CallContext) => counted(writeRow(write, table, row, call)),
    writeBatch: (request: BatchInput, call: CallContext) => counted(writeBatch(write, request, call)),
    createTable: (table, config, ifNotExists, call) =>
      counted(createTable(manage, table, config, ifNotExists, call)),
    dropTable: (table, options, call) => counted(dropTable(manage, table, options, call)),
    listTables: (pattern, call) => counted(listTables(manage, pattern, call)),
    describeTable: (table, call) => counted(describeTable(manage, table, call)),
    cleanupTable: (table, wanted, call) =>
      counted(
        cleanupTable(
          { ...manage, commits: write.commits, clock: write.clock, cleanups },
          table,
          wanted,
          call,
        ),
      ),
    flushTable: (table, waits, call) =>
      counted(flushTable({ ...manage, commits: write.commits }, table, waits, call)),
    updateTable: (table, change, call) => counted(updateTable(manage, table, change, call)),
    backupTable: (table, wanted, call) => counted(backupTable(backups, table, wanted, call)),
    restoreTable: (table, wanted, call) => counted(restoreTable(backups, table, wanted, call)),
    listBackups: (table, call) => counted(listBackups(backups, table, call)),
    lookAtTask: (id, call) => counted(lookAtTask(backups, id, call)),
    stats: (call) => counted(readStats(manage, call)),
    nodes: (call) => counted(listNodes(manage, call)),
    query: (request: QueryInput, call: CallContext) => counted(runQuery(query, request, call)),
    health: async () => health(parts, await ping()),
  };
}

/** What is not there may be so because Redis has lost everything: that is another answer. */
const ABSENT_CODES: ReadonlySet<string> = new Set(['table_not_found', 'table_gone']);

async function realCause(thrown: unknown, { tables }: ManageContext): Promise<MiniodbError | undefined> {
  if (!ABSENT_CODES.has(asMiniodbError(thrown).code)) return undefined;
  return tables.requireHistory().then(() => undefined, asMiniodbError);
}

function health({ membership, version }: GatewayParts, redis: PingResult): HealthReport {
  const flushers = membership.live('flusher').length;
  const queriers = membership.live('querier').length;
  return {
    healthy: redis === 'ok',
    version,
    details: { redis, flushers: String(flushers), queriers: String(queriers) },
  };
}
