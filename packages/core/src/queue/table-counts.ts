import type { Redis } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';
import { type FixedKeys, ProtocolKeys } from '../table/keys.ts';

/** A live table's numbers, as its keys say at nearly one instant. */
export interface TableCounts {
  readonly table: string;
  /** What it sets itself; undefined: the default. */
  readonly bufferSize: number | undefined;
  readonly records: number;
  readonly files: number;
  readonly sizeBytes: number;
  readonly pendingRows: number;
  readonly pendingBytes: number;
  readonly pendingBatches: number;
  /** Milliseconds since 1970; undefined: never. */
  readonly lastWriteMs: number | undefined;
  readonly lastFlushMs: number | undefined;
}

/** Tables of one pipeline: bounds what is in flight; two round trips each. */
const TABLES_AT_ONCE = 250;

type Reply = readonly (string | null)[];

/** Names without a live table are left out, and so are tables that cannot be read. Throws when Redis is away. */
export async function readTableCounts(
  redis: Redis,
  fixed: FixedKeys,
  names: readonly string[],
): Promise<TableCounts[]> {
  const counts: TableCounts[] = [];
  for (let from = 0; from < names.length; from += TABLES_AT_ONCE) {
    const part = names.slice(from, from + TABLES_AT_ONCE);
    const generations = await readGenerations(redis, fixed, part);
    const fields = ['pending_rows', 'pending_bytes', 'pending_batches', 'last_flush_ms'];
    const reads = [...generations].flatMap(([table, generation]) => [
      ['hget', fixed.config(table), 'buffer_size'],
      ['hmget', fixed.stats(table), 'record_count', 'file_count', 'size_bytes'],
      ['get', fixed.lastWrite(table)],
      ['hmget', new ProtocolKeys(table, generation).counters, ...fields],
    ]);
    const replies = await pipelined(redis, reads);
    for (const [at, table] of [...generations.keys()].entries()) {
      const [bufferSize, stats, lastWrite, pending] = replies.slice(4 * at, 4 * at + 4);
      if (stats === undefined || pending === undefined) continue;
      counts.push(countsOf(table, bufferSize, stats as Reply, lastWrite, pending as Reply));
    }
  }
  return counts;
}

/** Pending bytes of every table that has some. As readTableCounts, in fewer reads. */
export async function readPendingBytes(
  redis: Redis,
  fixed: FixedKeys,
  names: readonly string[],
): Promise<Map<string, number>> {
  const pending = new Map<string, number>();
  for (let from = 0; from < names.length; from += TABLES_AT_ONCE) {
    const generations = await readGenerations(redis, fixed, names.slice(from, from + TABLES_AT_ONCE));
    const reads = Array.from(generations, ([table, generation]) => [
      'hget',
      new ProtocolKeys(table, generation).counters,
      'pending_bytes',
    ]);
    const replies = await pipelined(redis, reads);
    for (const [at, table] of [...generations.keys()].entries()) {
      const bytes = Number(replies[at] ?? '0');
      if (bytes > 0) pending.set(table, bytes);
    }
  }
  return pending;
}

async function readGenerations(
  redis: Redis,
  fixed: FixedKeys,
  names: readonly string[],
): Promise<Map<string, string>> {
  const replies = await pipelined(
    redis,
    names.map((name) => ['hget', fixed.config(name), 'generation']),
  );
  const generations = new Map<string, string>();
  for (const [at, name] of names.entries()) {
    const generation = replies[at];
    if (typeof generation === 'string') generations.set(name, generation);
  }
  return generations;
}

/** Undefined where a command was refused: one table with a damaged key does not hide the others. */
async function pipelined(redis: Redis, commands: readonly (readonly string[])[]): Promise<unknown[]> {
  if (commands.length === 0) return [];
  try {
    const replies = (await redis.pipeline(commands.map((command) => [...command])).exec()) ?? [];
    for (const [error] of replies) if (error !== null && error.name !== 'ReplyError') throw error;
    return replies.map(([error, reply]) => (error === null ? reply : undefined));
  } catch (error) {
    throw classifyRedisError(error);
  }
}

function countsOf(table: string, bufferSize: unknown, stats: Reply, lastWrite: unknown, pending: Reply) {
  const number = (text: string | null | undefined) => Number(text ?? '0');
  const lastWriteMs = typeof lastWrite === 'string' ? Date.parse(lastWrite) : Number.NaN;
  return {
    table,
    bufferSize: typeof bufferSize === 'string' ? Number(bufferSize) : undefined,
    records: number(stats[0]),
    files: number(stats[1]),
    sizeBytes: number(stats[2]),
    pendingRows: number(pending[0]),
    pendingBytes: number(pending[1]),
    pendingBatches: number(pending[2]),
    lastWriteMs: Number.isNaN(lastWriteMs) ? undefined : lastWriteMs,
    lastFlushMs: pending[3] == null ? undefined : Number(pending[3]),
  };
}
