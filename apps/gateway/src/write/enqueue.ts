import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdCompressSync } from 'node:zlib';
import type { JobProducer } from '@miniodb/core/queue/jobs.ts';
import type { CommitTarget } from '@miniodb/core/queue/look-commits.ts';
import { type PutAnswer, type PutBatch, type PutRequest, sendPut } from '@miniodb/core/queue/put.ts';
import { type Redis, whenReady } from '@miniodb/core/redis/client.ts';
import type { RedisClock } from '@miniodb/core/redis/clock.ts';
import { classifyRedisError, isNotSent } from '@miniodb/core/redis/errors.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';
import { rfc3339FromMicros, rfc3339FromMs } from '@miniodb/core/table/timestamp.ts';
import type { LiveTable } from '../table/tables.ts';
import type { AcceptedRow, Profile } from './accept.ts';
import { Turns } from './accept-all.ts';
import { refusal } from './refusal.ts';
import { schemaNeed, splitByShard } from './shard.ts';

/** How long one enqueue may take to get a certain answer before its callers hear that the outcome is unknown. */
const PUT_DEADLINE_MS = 10_000;
/** While Redis is away and nothing was sent yet, callers hear so after this long. */
const CONNECT_WAIT_MS = 800;
/** How often an answer that the view was stale is followed by a fresh view before it counts as a fault. */
const STALE_RETRIES_MAX = 5;
/** Rows of one batch, uncompressed: a flush reads batches whole, so one must not be too large a bite. */
const BATCH_RAW_BYTES_MAX = 8 * 1_048_576;
/** zstd in the thread pool pays above this size; below, the hop costs more than the work (about 20 us). */
const SYNC_COMPRESS_BYTES_MAX = 16_384;

const RETRY_PAUSE_MS = 20;

const compress = promisify(zstdCompress);
const ZSTD_OPTIONS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** Rows that are enqueued together. */
export interface Group {
  readonly rows: readonly AcceptedRow[];
  readonly profile: Profile;
  readonly acceptedMs: number;
  readonly dedup:
    | { readonly key: string; readonly requestHash: string; readonly windowMs: number }
    | undefined;
}

export interface Enqueued {
  readonly duplicate: boolean;
  /** A query that is given this sees at least these rows. */
  readonly position: string;
  /** Put sequence of its last batch, or a later one. */
  readonly seq: string;
  /** What to await the commit of; undefined of a duplicate, whose batches nobody knows any more. */
  readonly put: CommitTarget | undefined;
  /** The table may have columns that the view at hand lacked. */
  readonly madeColumns: boolean;
}

/** Makes groups of rows pending: sharded, compressed, in one transaction a group, repeated until the answer is certain. */
export class Enqueuer {
  readonly #redis: Redis;
  readonly #producer: JobProducer;
  readonly #fixed: FixedKeys;
  readonly #clock: RedisClock;
  /** Prefix of put ids: this process' incarnation, so that ids are never used twice. */
  readonly #incarnation = randomBytes(8).toString('hex');
  #putCount = 0;

  constructor(redis: Redis, producer: JobProducer, fixed: FixedKeys, clock: RedisClock) {
    this.#redis = redis;
    this.#producer = producer;
    this.#fixed = fixed;
    this.#clock = clock;
  }

  /**
   * @param refresh a fresh view of the table, called when Redis says that the one at hand is stale
   * Throws: not taken for certain (`unavailable`, `resource_exhausted`, `failed_precondition`, `not_found`, and
   * `type_conflict` when some row conflicts with a column), or `outcome_unknown` when no answer came in time.
   */
  async enqueue(group: Group, table: LiveTable, refresh: () => Promise<LiveTable>): Promise<Enqueued> {
    let view = table;
    for (let attempt = 0; attempt <= STALE_RETRIES_MAX; attempt += 1) {
      const request = await this.#request(group, view);
      const answer = await this.#sendUntilCertain(request);
      switch (answer.status) {
        case 'ok':
        case 'duplicate':
          return {
            duplicate: answer.status === 'duplicate',
            position: `${view.generation}:${answer.seq}`,
            seq: answer.seq,
            put: answer.status === 'ok' ? putOf(request, answer.seq) : undefined,
            madeColumns: request.columns.length > 0,
          };
        case 'stale':
          view = await refresh();
          continue;
        default:
          throw refusal(view.name, answer, view.config.flush_paused);
      }
    }
    throw new MiniodbError('unavailable', `table ${table.name} changes faster than rows can be placed`, {
      code: 'table_view_stale',
      retryAfterMs: 500,
    });
  }

  async #request(group: Group, table: LiveTable): Promise<PutRequest> {
    this.#putCount += 1;
    const putId = `${this.#incarnation}-${this.#putCount}`;
    const need = schemaNeed(group.profile, table.schema);
    const has = { overflow: need.hasOverflow, raw: group.profile.hasRaw };
    const batches: PutBatch[] = [];
    const turns = new Turns();
    for (const [shard, rows] of splitByShard(table.name, table.config.shards, group.rows)) {
      for (const part of cutToSize(rows)) {
        const id = `${putId}-${batches.length}`;
        batches.push(await batchOf(id, shard, part, group.acceptedMs, has));
        if (turns.isOver) await turns.next();
      }
    }
    const span = timeSpan(group.rows);
    return {
      table: table.name,
      generation: table.generation,
      shards: table.config.shards,
      putId,
      deadlineMs: this.#clock.nowMs() + PUT_DEADLINE_MS,
      batches,
      columns: need.columns,
      acceptedAt: rfc3339FromMs(group.acceptedMs),
      oldest: rfc3339FromMicros(span.minTs),
      newest: rfc3339FromMicros(span.maxTs),
      maxPendingBytes: table.config.max_pending_bytes,
      typeConflict: table.config.type_conflict,
      isRepeat: false,
      ...(group.dedup && {
        dedup: {
          key: group.dedup.key,
          requestHash: group.dedup.requestHash,
          expiresMs: group.acceptedMs + group.dedup.windowMs,
        },
      }),
    };
  }

  /** Sends the same transaction until an answer comes; the put id makes repeats harmless. */
  async #sendUntilCertain(request: PutRequest): Promise<PutAnswer> {
    let maybeApplied = false;
    let lastError: unknown;
    while (this.#clock.nowMs() < request.deadlineMs) {
      try {
        const wait = maybeApplied ? request.deadlineMs - this.#clock.nowMs() : CONNECT_WAIT_MS;
        await whenReady(this.#redis, Math.max(wait, 1));
      } catch (error) {
        lastError = error;
        break;
      }
      let sent = false;
      try {
        await failpoint('gw.enqueue.before');
        const attempt = { ...request, isRepeat: maybeApplied };
        const sending = sendPut(this.#redis, this.#producer, this.#fixed, attempt, () => {
          sent = true;
        });
        const answer = await within(sending, request.deadlineMs - this.#clock.nowMs());
        await failpoint('gw.enqueue.after');
        // Too late for this attempt, but an earlier one may have been in time and be forgotten by now.
        if (answer.status === 'expired' && maybeApplied) break;
        return answer;
      } catch (error) {
        lastError = error;
        const neverLeft = !sent || isNotSent(error);
        if (!maybeApplied && !mayPass(error, neverLeft, this.#redis)) throw classifyRedisError(error);
        maybeApplied ||= !neverLeft && !isRefusedByServer(error);
        await sleep(RETRY_PAUSE_MS);
      }
    }
    if (!maybeApplied) throw classifyRedisError(lastError);
    throw new MiniodbError(
      'outcome_unknown',
      'Redis did not answer in time: the rows may or may not be stored; repeat with the same batch_id to be sure',
      { code: 'outcome_unknown', cause: lastError },
    );
  }
}

function putOf({ putId, batches }: PutRequest, seq: string): CommitTarget {
  return { kind: 'put', putId, seq, batches: batches.map(({ id, shard }) => ({ id, shard })) };
}

/** Whether sending the same again soon may do better. Only asked while nothing can have been applied yet. */
function mayPass(error: unknown, neverLeft: boolean, redis: Redis): boolean {
  // Forgotten scripts are sent whole on the new connection.
  if (neverLeft || isMissingScript(error)) return redis.status !== 'ready' || isMissingScript(error);
  return !isRefusedByServer(error);
}

/** What waits for a connection must not outlive its deadline; what was sent meanwhile goes on and is asked for again. */
async function within<Result>(work: Promise<Result>, ms: number): Promise<Result> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`no answer within ${Math.round(ms)} ms`)),
    Math.max(ms, 1),
  );
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}

/** An error reply says that the transaction was not applied; everything else leaves it open. */
function isRefusedByServer(error: unknown): boolean {
  return error instanceof MiniodbError
    ? error.kind !== 'unavailable'
    : error instanceof Error && error.name === 'ReplyError';
}

function isMissingScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

function cutToSize(rows: readonly AcceptedRow[]): AcceptedRow[][] {
  const parts: AcceptedRow[][] = [];
  let part: AcceptedRow[] = [];
  let bytes = 0;
  for (const row of rows) {
    const rowBytes = row.lineEnd - row.lineAt;
    if (part.length > 0 && bytes + rowBytes > BATCH_RAW_BYTES_MAX) {
      parts.push(part);
      part = [];
      bytes = 0;
    }
    part.push(row);
    bytes += rowBytes;
  }
  if (part.length > 0) parts.push(part);
  return parts;
}

async function batchOf(
  id: string,
  shard: number,
  rows: readonly AcceptedRow[],
  acceptedMs: number,
  has: { readonly overflow: boolean; readonly raw: boolean },
): Promise<PutBatch> {
  const raw = joinLines(rows);
  const payload =
    raw.length <= SYNC_COMPRESS_BYTES_MAX
      ? zstdCompressSync(raw, ZSTD_OPTIONS)
      : await compress(raw, ZSTD_OPTIONS);
  const { minTs, maxTs } = timeSpan(rows);
  return {
    id,
    shard,
    payload,
    meta: {
      rows: rows.length,
      bytes: payload.length,
      rawBytes: raw.length,
      acceptedMs,
      minTs,
      maxTs,
      hasOverflow: has.overflow,
      hasRaw: has.raw,
    },
  };
}

/** The rows' lines as one text. Lines that stand behind each other are copied at once: with one shard, all are. */
function joinLines(rows: readonly AcceptedRow[]): Buffer {
  const joined = Buffer.allocUnsafe(rows.reduce((sum, row) => sum + row.lineEnd - row.lineAt, 0));
  let length = 0;
  for (let at = 0; at < rows.length; ) {
    const { lines, lineAt } = rows[at]!;
    let { lineEnd } = rows[at]!;
    for (at += 1; at < rows.length && rows[at]!.lineAt === lineEnd && rows[at]!.lines === lines; at += 1) {
      lineEnd = rows[at]!.lineEnd;
    }
    length += lines.copy(joined, length, lineAt, lineEnd);
  }
  return joined;
}

function timeSpan(rows: readonly AcceptedRow[]): { minTs: string; maxTs: string } {
  let min = rows[0]!;
  let max = min;
  for (const row of rows) {
    if (isBefore(row, min)) min = row;
    if (isBefore(max, row)) max = row;
  }
  return { minTs: microsText(min), maxTs: microsText(max) };
}

/** Texts decide only between doubles that are equal and rounded. */
function isBefore(a: AcceptedRow, b: AcceptedRow): boolean {
  if (a.micros !== b.micros) return a.micros < b.micros;
  return a.exactMicros !== undefined && BigInt(microsText(a)) < BigInt(microsText(b));
}

function microsText(row: AcceptedRow): string {
  return row.exactMicros ?? String(row.micros);
}
