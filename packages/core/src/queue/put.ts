import type { Redis } from '../redis/client.ts';
import { asArray, asText, statusOf, unknownStatus } from '../redis/reply.ts';
import { addVerb, type LuaArgument } from '../redis/script.ts';
import { MiniodbError } from '../runtime/errors.ts';
import { type FixedKeys, ProtocolKeys, shardName } from '../table/keys.ts';
import { COLUMNS_PER_TABLE_MAX, type Column, type ColumnType, isColumnType } from '../table/schema.ts';
import { type BatchMeta, formatBatchMeta } from './batch-meta.ts';
import { hint } from './hint.ts';
import type { JobProducer } from './jobs.ts';

export interface PutBatch {
  /** `<put id>-<n>`; fresh, never a client's text. */
  readonly id: string;
  readonly shard: number;
  readonly meta: BatchMeta;
  readonly payload: Buffer;
}

export interface PutRequest {
  readonly table: string;
  readonly generation: string;
  readonly shards: number;
  readonly putId: string;
  /** By Redis' clock. Past it the put refuses, so a transaction that was delayed cannot apply later. */
  readonly deadlineMs: number;
  readonly batches: readonly PutBatch[];
  /** Columns that the schema may lack or hold narrower. */
  readonly columns: readonly (Column & { readonly folded: string })[];
  /** RFC 3339 with six digits. */
  readonly acceptedAt: string;
  readonly oldest: string;
  readonly newest: string;
  /** For a table that does not set it itself; put reads what the table sets. */
  readonly maxPendingBytes: number;
  /** Likewise; absent: widen. */
  readonly typeConflict?: 'widen' | 'reject';
  /** An earlier sending of this very request may have been applied, or may still be on its way. */
  readonly isRepeat: boolean;
  readonly dedup?: { readonly key: string; readonly requestHash: string; readonly expiresMs: number };
}

export type PutAnswer =
  | { readonly status: 'ok'; readonly seq: string }
  | { readonly status: 'duplicate'; readonly seq: string }
  | { readonly status: 'conflict' | 'expired' | 'gone' | 'archived' }
  | { readonly status: 'pending_bytes'; readonly capBytes: number }
  | { readonly status: 'stale'; readonly what: string }
  /** The table refuses that a column changes its SQL type. */
  | {
      readonly status: 'type_conflict';
      readonly name: string;
      readonly column: ColumnType;
      readonly came: ColumnType;
    };

/** How much longer than its deadline a put id is remembered: covers repeats that were on their way. */
const REMEMBER_AFTER_DEADLINE_MS = 60_000;

/**
 * Sends one enqueue: SET of every payload, the put verb, one job a batch, in one MULTI; then the hints. Throws only
 * when the outcome is unknown (connection lost, timeout, a transaction that Redis refused whole); sending the same
 * request again, as a repeat, is then safe and answers what happened.
 * @param onSend called right before the transaction leaves: what is thrown earlier was not applied for certain
 */
export async function sendPut(
  redis: Redis,
  producer: JobProducer,
  fixed: FixedKeys,
  request: PutRequest,
  onSend: () => void = () => {},
): Promise<PutAnswer> {
  const keys = new ProtocolKeys(request.table, request.generation);
  const transaction = await producer.transaction();
  for (const batch of request.batches) transaction.set(keys.payload(batch.id), batch.payload);
  const [verbKeys, verbArguments] = putCall(fixed, keys, request);
  addVerb(transaction, 'put', verbKeys, verbArguments);
  for (const batch of request.batches) {
    await producer.addTo(transaction, keys.queuePrefix, shardName(batch.shard), batch.id, batch.meta.rows);
  }
  onSend();
  const replies = await transaction.exec();
  if (replies === null)
    throw new MiniodbError('unavailable', 'the transaction was discarded', { code: 'redis_discarded' });
  // Scripts that the server forgot (SCRIPT FLUSH) are sent whole again only on a new connection.
  if (replies.some(([error]) => error?.message.startsWith('NOSCRIPT'))) redis.disconnect(true);
  // The put alone decides: a batch without its job is found by its shard's flusher all the same.
  const [error, reply] = replies[request.batches.length]!;
  if (error !== null) throw error;
  const answer = parsePutAnswer(reply);
  if (answer.status === 'ok') hint(redis, request.table, shardsOf(request));
  else {
    // The transaction added the jobs all the same; without this, refused writes would pile them up.
    const jobs = request.batches.map((batch) => ({ shard: shardName(batch.shard), id: batch.id }));
    producer.remove(keys.queuePrefix, jobs);
  }
  return answer;
}

function putCall(
  fixed: FixedKeys,
  keys: ProtocolKeys,
  request: PutRequest,
): [keys: string[], args: LuaArgument[]] {
  const { table, batches, columns, dedup } = request;
  const verbKeys = [
    fixed.config(table),
    fixed.stats(table),
    fixed.lastWrite(table),
    keys.schema,
    keys.counters,
    keys.done,
    keys.keyed,
    keys.keyedExpiry,
  ];
  const args: LuaArgument[] = [
    request.generation,
    request.shards,
    request.putId,
    request.deadlineMs,
    request.deadlineMs + REMEMBER_AFTER_DEADLINE_MS,
    dedup?.key ?? '',
    dedup?.requestHash ?? '',
    dedup?.expiresMs ?? 0,
    request.acceptedAt,
    request.maxPendingBytes,
    COLUMNS_PER_TABLE_MAX,
    columns.length,
    batches.length,
    request.oldest,
    request.newest,
    request.isRepeat ? 1 : 0,
    request.typeConflict ?? 'widen',
  ];
  for (const column of columns) args.push(column.folded, column.name, column.type);
  for (const batch of batches) {
    const shard = shardName(batch.shard);
    verbKeys.push(keys.pending(shard), keys.unsealed(shard), keys.batchMeta(shard), keys.payload(batch.id));
    args.push(batch.id, shard, formatBatchMeta(batch.meta), batch.meta.rows, batch.meta.bytes);
  }
  return [verbKeys, args];
}

function parsePutAnswer(reply: unknown): PutAnswer {
  const status = statusOf('put', reply);
  const detail = asArray('put', reply)[1];
  switch (status) {
    case 'ok':
    case 'duplicate':
      return { status, seq: asText('put', detail) };
    case 'conflict':
    case 'expired':
    case 'gone':
    case 'archived':
      return { status };
    case 'pending_bytes':
      return { status, capBytes: Number(asText('put', detail)) };
    case 'stale':
      return { status, what: asText('put', detail) };
    case 'type_conflict': {
      const [, name, column, came] = asArray('put', reply).map((part) => asText('put', part));
      return { status, name: name!, column: asColumnType(column!), came: asColumnType(came!) };
    }
    default:
      throw unknownStatus('put', reply);
  }
}

function asColumnType(text: string): ColumnType {
  if (isColumnType(text)) return text;
  throw new MiniodbError('data_corrupted', `unknown column type ${text}`, { code: 'schema_corrupted' });
}

function shardsOf(request: PutRequest): string[] {
  return [...new Set(request.batches.map((batch) => shardName(batch.shard)))];
}
