import type { Membership } from '@miniodb/core/placement/members.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { BatchInput, CallContext, GatewayApi, HealthReport, QueryInput, RowInput } from './api.ts';
import { type QueryContext, runQuery } from './query/pipeline.ts';
import { createTable } from './table/create.ts';
import { describeTable, listTables } from './table/describe.ts';
import { dropTable } from './table/drop.ts';
import type { ManageContext } from './table/manage.ts';
import { listNodes } from './table/nodes.ts';
import { readStats } from './table/stats.ts';
import { updateTable } from './table/update.ts';
import { type WriteContext, writeBatch, writeRow } from './write/pipeline.ts';

const PING_TIMEOUT_MS = 1_000;

export interface GatewayParts {
  readonly write: WriteContext;
  readonly query: QueryContext;
  readonly manage: ManageContext;
  readonly membership: Membership;
  readonly redis: Redis;
  readonly version: string;
}

/** What the servers call. */
export function openGateway(parts: GatewayParts): GatewayApi {
  const { write, query, manage } = parts;
  const counted = async <Result>(work: Promise<Result>): Promise<Result> => {
    try {
      return await work;
    } catch (error) {
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
    updateTable: (table, change, call) => counted(updateTable(manage, table, change, call)),
    stats: (call) => counted(readStats(manage, call)),
    nodes: (call) => counted(listNodes(manage, call)),
    query: (request: QueryInput, call: CallContext) => counted(runQuery(query, request, call)),
    health: () => health(parts),
  };
}

async function health({ redis, membership, version }: GatewayParts): Promise<HealthReport> {
  const timeout = Promise.withResolvers<string>();
  const timer = setTimeout(() => timeout.resolve('no answer'), PING_TIMEOUT_MS);
  const ping = redis.ping().then(
    () => 'ok',
    (error: unknown) => (error instanceof Error ? error.message : 'failed'),
  );
  const redisState = await Promise.race([ping, timeout.promise]);
  clearTimeout(timer);
  const flushers = membership.live('flusher').length;
  const queriers = membership.live('querier').length;
  return {
    healthy: redisState === 'ok',
    version,
    details: { redis: redisState, flushers: String(flushers), queriers: String(queriers) },
  };
}
