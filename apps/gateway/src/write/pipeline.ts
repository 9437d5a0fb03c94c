import { createHash, randomUUID } from 'node:crypto';
import { requireGrant } from '@miniodb/core/auth/principal.ts';
import type { RedisClock } from '@miniodb/core/redis/clock.ts';
import type { Durability } from '@miniodb/core/redis/durability.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { Ack, BatchInput, BatchReceipt, CallContext, RowInput, WriteReceipt } from '../api.ts';
import type { GatewayMetrics } from '../metrics.ts';
import type { LiveTable, Tables } from '../table/tables.ts';
import { Turns } from './accept-all.ts';
import { awaitCommit, requireFlushes } from './await-commit.ts';
import type { GroupCommit, Submission } from './batch.ts';
import type { CommitWatch } from './commit-watch.ts';
import { storeRows } from './store.ts';

/** How long a batch_id is remembered. */
export const DEDUP_WINDOW_MS = 24 * 3_600_000;
const BATCH_ID_BYTES_MAX = 256;
/** Hashed at a stretch: some 2 ms. */
const HASH_PIECE_BYTES = 2 ** 21;

export interface WriteContext {
  readonly tables: Tables;
  readonly groups: GroupCommit;
  readonly commits: CommitWatch;
  readonly durability: Durability;
  readonly clock: RedisClock;
  readonly metrics: GatewayMetrics;
}

/**
 * The way of a write: accept, then shard, batch and enqueue with whoever else writes to the table, then, where that is
 * wanted, wait for the commit, then the answer.
 */
export async function writeRow(
  context: WriteContext,
  tableName: string,
  row: RowInput,
  call: CallContext,
): Promise<WriteReceipt> {
  const receipt = await writeBatch(
    context,
    {
      table: tableName,
      rows: { form: 'rows', rows: [row] },
      ack: 'default',
      batchId: '',
      skipInvalid: false,
    },
    call,
  );
  return { position: receipt.position };
}

export async function writeBatch(
  context: WriteContext,
  request: BatchInput,
  call: CallContext,
): Promise<BatchReceipt> {
  const started = performance.now();
  await failpoint('gw.recv');
  // Before the table is looked up: whether it exists, and that it is made, is for those who may write to it.
  requireGrant(call.principal, 'write', [context.tables.canonical(request.table)]);
  const table = await context.tables.forWrite(request.table, call.principal);
  const ack = await settleAck(context, request.ack, table);
  if (request.batchId.length > BATCH_ID_BYTES_MAX) {
    throw new MiniodbError('invalid_argument', `batch_id is longer than ${BATCH_ID_BYTES_MAX}`, {
      code: 'invalid_batch_id',
    });
  }
  const acceptedMs = context.clock.nowMs();
  const stored = await storeRows(context, request, table, acceptedMs, call.signal, () =>
    dedupOf(request, call),
  );
  const { accepted, rejected, errors, enqueued } = stored;
  const batchId = request.batchId === '' ? randomUUID() : request.batchId;
  const done = { accepted, rejected, errors, ack, batchId };
  if (enqueued === undefined) return { ...done, duplicate: false, position: '' };
  context.metrics.rowsAccepted(table.name, accepted, (performance.now() - started) / 1_000);
  if (ack === 'committed') await awaitCommit(context, table, enqueued, request.batchId !== '', call);
  await failpoint('gw.reply');
  return { ...done, duplicate: enqueued.duplicate, position: enqueued.position };
}

/** The level that this write is answered at. Levels that cannot be given are refused, not pretended. */
async function settleAck(
  context: WriteContext,
  wanted: Ack,
  table: LiveTable,
): Promise<Exclude<Ack, 'default'>> {
  const ack = wanted === 'default' ? table.config.ack : wanted;
  // A commit in a Redis that may forget it would be one no more than it would be durable.
  if (ack !== 'queued') await context.durability.require();
  if (ack === 'committed') requireFlushes(table);
  return ack;
}

/** The record that makes a repeat of a keyed request store nothing: it is about the client's own bytes. */
async function dedupOf(request: BatchInput, call: CallContext): Promise<Submission['dedup']> {
  if (request.batchId === '') return undefined;
  const hash = createHash('sha256');
  if (request.rows.form === 'rows') hash.update(JSON.stringify(request.rows.rows, bigintsAsText));
  else {
    const { bytes } = request.rows;
    const turns = new Turns();
    for (let at = 0; at < bytes.length; at += HASH_PIECE_BYTES) {
      hash.update(bytes.subarray(at, at + HASH_PIECE_BYTES));
      if (turns.isOver) await turns.next();
    }
  }
  return {
    key: createHash('sha256')
      .update(JSON.stringify([call.principal.user, request.batchId]))
      .digest('base64url'),
    requestHash: hash.digest('base64url'),
    windowMs: DEDUP_WINDOW_MS,
  };
}

function bigintsAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
