import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { zstdCompressSync } from 'node:zlib';
import { DUCKDB_ENCODER_DEFAULTS, DuckDbEncoder } from '@miniodb/core/encode/duckdb.ts';
import type { EncodedFile, EncodeJob, Encoder } from '@miniodb/core/encode/encoder.ts';
import { Membership } from '@miniodb/core/placement/members.ts';
import { JobConsumer, JobProducer } from '@miniodb/core/queue/jobs.ts';
import { sendPut } from '@miniodb/core/queue/put.ts';
import { redisTimeMs } from '@miniodb/core/redis/client.ts';
import { RedisClock } from '@miniodb/core/redis/clock.ts';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { openObjectStore } from '@miniodb/core/storage/open-store.ts';
import { Catalog, type Table } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG, type TableConfigInput } from '@miniodb/core/table/config.ts';
import { FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { rowLine } from '@miniodb/core/table/row-line.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';
import { Scheduler } from '../../apps/flusher/src/flush/scheduler.ts';
import { FlusherMetrics } from '../../apps/flusher/src/metrics.ts';
import { Ownership } from '../../apps/flusher/src/ownership/ownership.ts';

const MICROS = '1767225600000000';

/** The real encoder, except that encodes of some tables wait: whoever waits there holds a slot of the scheduler. */
export class GatedEncoder implements Encoder {
  readonly name = 'duckdb';
  readonly #encoder: Encoder;
  readonly #closed = new Map<string, PromiseWithResolvers<void>>();
  /** Encodes under way, one job each. */
  readonly underWay = new Set<EncodeJob>();

  constructor(encoder: Encoder) {
    this.#encoder = encoder;
  }

  hold(table: string): void {
    this.#closed.set(table, Promise.withResolvers());
  }

  release(table: string): void {
    this.#closed.get(table)?.resolve();
    this.#closed.delete(table);
  }

  releaseAll(): void {
    for (const table of [...this.#closed.keys()]) this.release(table);
  }

  /** How many encodes of a table are under way. */
  count(table: string): number {
    return [...this.underWay].filter((job) => job.footer['miniodb.table'] === table).length;
  }

  async encode(job: EncodeJob, signal?: AbortSignal): Promise<EncodedFile[]> {
    this.underWay.add(job);
    try {
      await this.#closed.get(job.footer['miniodb.table']!)?.promise;
      return await this.#encoder.encode(job, signal);
    } finally {
      this.underWay.delete(job);
    }
  }

  close(): Promise<void> {
    return this.#encoder.close();
  }
}

export interface PutOptions {
  readonly shard?: number;
  /** Whether flushers are told of it; default: true. */
  readonly hinted?: boolean;
  /** How long ago it was accepted. */
  readonly ageMs?: number;
}

/** A flusher's scheduler in this process, on a Redis and a directory of its own. */
export interface TestScheduler {
  readonly server: TestRedis;
  readonly encoder: GatedEncoder;
  create(name: string, config: TableConfigInput): Promise<Table>;
  /** Puts a batch of rows into a shard as a gateway does. */
  put(table: Table, rows: number, options?: PutOptions): Promise<void>;
  pendingRows(table: Table): Promise<number>;
  /** Live seals of all shards. */
  seals(table: Table): Promise<number>;
  set(table: Table, fields: Readonly<Record<string, string | number>>): Promise<void>;
  stop(): Promise<void>;
}

const fixed = new FixedKeys('single');

export async function startTestScheduler(slots: number): Promise<TestScheduler> {
  const server = await startTestRedis();
  const { redis } = server;
  const directory = await mkdtemp(join(tmpdir(), 'miniodb-scheduler-'));
  const spill = join(directory, 'spill');
  const encoder = new GatedEncoder(new DuckDbEncoder({ ...DUCKDB_ENCODER_DEFAULTS, tempDirectory: spill }));
  const store = openObjectStore(pathToFileURL(join(directory, 'objects')).href);
  await store.ensureReady();
  const log = silentLog();
  const membership = new Membership(redis, log, { id: 'flusher-1', role: 'flusher', address: '' });
  await membership.join();
  const clock = new RedisClock();
  await clock.start(redis);
  const jobs = new JobConsumer(redis, 'flusher-1');
  const metrics = new FlusherMetrics();
  const history = { requireLately: () => {} };
  const context = { redis, history, clock, fixed, jobs, encoder, store, workDir: directory, log, metrics };
  const ownership = new Ownership(membership, 'flusher-1');
  const listener = await server.connect();
  const scheduler = new Scheduler(context, listener, ownership, DEFAULT_TABLE_CONFIG, slots);
  const producer = new JobProducer(redis);
  const catalog = new Catalog(redis, fixed, DEFAULT_TABLE_CONFIG);
  const keysOf = (table: Table) => new ProtocolKeys(table.name, table.generation);
  scheduler.start();
  return {
    server,
    encoder,
    async create(name, config) {
      await catalog.create(name, config, 10_000, '2026-01-01T00:00:00.000000Z');
      return (await catalog.read(name))!;
    },
    async put(table, rows, { shard = 0, hinted = true, ageMs = 0 } = {}) {
      const putId = randomBytes(6).toString('hex');
      const raw = Array.from({ length: rows }, (_, row) => rowLine(`id-${row}`, MICROS, '{"a":1}')).join('');
      const payload = zstdCompressSync(Buffer.from(raw));
      const nowMs = await redisTimeMs(redis);
      const meta = {
        rows,
        bytes: payload.length,
        rawBytes: raw.length,
        acceptedMs: nowMs - ageMs,
        minTs: MICROS,
        maxTs: MICROS,
        hasOverflow: false,
      };
      const answer = await sendPut(hinted ? redis : withoutHints(redis), producer, fixed, {
        table: table.name,
        generation: table.generation,
        shards: table.config.shards,
        putId,
        deadlineMs: nowMs + 10_000,
        batches: [{ id: `${putId}-0`, shard, meta, payload }],
        columns: [{ name: 'a', type: 'int53', folded: 'a' }],
        acceptedAt: '2026-01-01T00:00:00.000000Z',
        oldest: '2026-01-01T00:00:00.000000Z',
        newest: '2026-01-01T00:00:00.000000Z',
        maxPendingBytes: table.config.max_pending_bytes,
        isRepeat: false,
      });
      if (answer.status !== 'ok') throw new Error(`put: ${answer.status}`);
    },
    async pendingRows(table) {
      return Number((await redis.hget(keysOf(table).counters, 'pending_rows')) ?? '0');
    },
    async seals(table) {
      const shards = Array.from({ length: table.config.shards }, (_, shard) => `s0${shard}`);
      const counts = await Promise.all(shards.map((shard) => redis.zcard(keysOf(table).seals(shard))));
      return counts.reduce((sum, count) => sum + count, 0);
    },
    async set(table, fields) {
      await redis.hset(fixed.config(table.name), fields);
    },
    async stop() {
      encoder.releaseAll();
      await scheduler.drain();
      await membership.leave();
      clock.stop();
      await jobs.close();
      await producer.close();
      await encoder.close();
      await store.close();
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A connection whose hints get lost on the way. */
function withoutHints(redis: TestRedis['redis']): TestRedis['redis'] {
  return new Proxy(redis, {
    get(target, name) {
      if (name === 'zadd') return () => Promise.resolve(0);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
