import type { Redis } from '@miniodb/core/redis/client.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { describeTables } from '@miniodb/core/table/describe.ts';
import type { CallContext, StatsReport } from '../api.ts';
import type { ManageContext } from './manage.ts';

/** Sums over the tables that the caller may read. What Redis and the store hold, others' included, is for admins. */
export async function readStats(
  context: ManageContext,
  { principal: { grants } }: CallContext,
): Promise<StatsReport> {
  const { redis, fixed, defaults } = context;
  const names = [...(await context.tables.names())].filter((name) => grants.allow('read', name));
  const reports = await describeTables(redis, fixed, defaults, names, false);
  const sum = (of: (report: (typeof reports)[number]) => number) =>
    reports.reduce((total, report) => total + of(report), 0);
  const buffer = {
    tables: reports.length,
    records: sum((report) => report.records),
    pending_rows: sum((report) => report.pendingRows),
    pending_bytes: sum((report) => report.pendingBytes),
    pending_batches: sum((report) => report.pendingBatches),
  };
  if (!grants.isClusterAdmin) return { buffer, redis: {}, store: {} };
  return {
    buffer,
    redis: await readRedisStats(redis),
    store: { files: sum((report) => report.files), bytes: sum((report) => report.fileBytes) },
  };
}

/** Names of ours -> fields of INFO. */
const INFO_FIELDS = {
  used_memory_bytes: 'used_memory',
  max_memory_bytes: 'maxmemory',
  connected_clients: 'connected_clients',
  uptime_seconds: 'uptime_in_seconds',
  commands_processed: 'total_commands_processed',
} as const;

async function readRedisStats(redis: Redis): Promise<Record<string, number>> {
  let info: string;
  let keys: number;
  try {
    [info, keys] = await Promise.all([redis.info(), redis.dbsize()]);
  } catch (error) {
    throw classifyRedisError(error);
  }
  const fields = new Map(info.split('\r\n').map((line) => line.split(':', 2) as [string, string]));
  const stats: Record<string, number> = { keys };
  for (const [name, field] of Object.entries(INFO_FIELDS)) {
    const value = Number(fields.get(field));
    if (Number.isSafeInteger(value)) stats[name] = value;
  }
  return stats;
}
