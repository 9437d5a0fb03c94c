import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DUCKDB_ENCODER_DEFAULTS, DuckDbEncoder } from '@miniodb/core/encode/duckdb.ts';
import type { Encoder } from '@miniodb/core/encode/encoder.ts';
import { ParquetJsEncoder } from '@miniodb/core/encode/parquetjs.ts';
import { Membership } from '@miniodb/core/placement/members.ts';
import { JobConsumer } from '@miniodb/core/queue/jobs.ts';
import { closeRedis, openRedis, whenReady } from '@miniodb/core/redis/client.ts';
import { RedisClock } from '@miniodb/core/redis/clock.ts';
import { watchRedis } from '@miniodb/core/redis/redis-metrics.ts';
import { startAdminServer } from '@miniodb/core/runtime/admin.ts';
import { openLog } from '@miniodb/core/runtime/log.ts';
import { type RunningRole, runRole } from '@miniodb/core/runtime/process.ts';
import { configureRole, logConfig } from '@miniodb/core/runtime/role-config.ts';
import { MeteredObjectStore } from '@miniodb/core/storage/metered.ts';
import { openRoleStore } from '@miniodb/core/storage/role-store.ts';
import { meterStore } from '@miniodb/core/storage/store-metrics.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { FixedKeys } from '@miniodb/core/table/keys.ts';
import { type FlusherConfig, flusherConfig } from './config.ts';
import { Scheduler } from './flush/scheduler.ts';
import { FlusherMetrics } from './metrics.ts';
import { Ownership } from './ownership/ownership.ts';
import { collectDropsTask } from './upkeep/collect-drops.ts';
import { forgetTables } from './upkeep/forget-tables.ts';
import { Recount } from './upkeep/recount.ts';
import { repairListingTask } from './upkeep/repair-listing.ts';
import { exportTableGauges } from './upkeep/table-gauges.ts';
import { Upkeep } from './upkeep/upkeep.ts';

const REDIS_WAIT_MS = 30_000;
/** A scheduler that has not looked for work for this long is not ready: Redis or the event loop is stuck. */
const STUCK_MS = 10_000;

const config = configureRole('flusher', flusherConfig);
const log = openLog('flusher', config.nodeId, config.logLevel);
logConfig(log, config);
await runRole(log, () => start(config));

async function start(config: FlusherConfig): Promise<RunningRole> {
  const metrics = new FlusherMetrics();
  await emptyWorkDir(config.workDir);
  const store = new MeteredObjectStore(openRoleStore(config), meterStore(metrics));
  await store.ensureReady();
  const redis = openRedis({ url: config.redisUrl, connectionName: config.nodeId, log });
  await whenReady(redis, REDIS_WAIT_MS);
  // A connection that listens can do nothing else.
  const listener = openRedis({ url: config.redisUrl, connectionName: `${config.nodeId}-hints`, log });
  const clock = new RedisClock();
  await clock.start(redis);
  const jobs = new JobConsumer(redis, config.nodeId);
  const encoder = openEncoder(config);

  const membership = new Membership(redis, log, { id: config.nodeId, role: 'flusher', address: '' });
  await membership.join();
  const context = {
    redis,
    clock,
    fixed: new FixedKeys('single'),
    jobs,
    encoder,
    store,
    workDir: config.workDir,
    log,
    metrics,
  };
  const ownership = new Ownership(membership, config.nodeId);
  const scheduler = new Scheduler(
    context,
    listener,
    ownership,
    config.tableDefaults,
    config.flushConcurrency,
  );
  metrics.watch('miniodb_flusher_flushes_running', 'Flushes under way', () => scheduler.load.running);
  metrics.watch(
    'miniodb_flusher_flushes_waiting',
    'Flushes that are due and wait for a slot',
    () => scheduler.load.waiting,
  );
  const catalog = new Catalog(redis, context.fixed, config.tableDefaults);
  exportTableGauges({ ...context, catalog, ownership, defaults: config.tableDefaults });
  watchRedis(metrics, redis);
  const admin = await startAdminServer({
    host: config.host,
    port: config.adminPort,
    metrics,
    log,
    notReadyBecause: () => (scheduler.idleForMs > STUCK_MS ? 'has not looked for work lately' : undefined),
  });
  const upkeep = new Upkeep(
    [
      collectDropsTask({ ...context, ownership }),
      repairListingTask({ ...context, ownership }),
      new Recount({ ...context, catalog, ownership }),
      forgetTables(catalog, metrics),
    ],
    log,
    metrics,
  );
  scheduler.start();
  upkeep.start();
  log.info({ event: 'ready', admin_port: admin.port, store: store.location });

  return {
    async drain() {
      // Others take the shards over while what runs here is finished.
      await membership.leave();
      await Promise.all([scheduler.drain(), upkeep.stop()]);
      clock.stop();
      await jobs.close();
      await encoder.close();
      await closeRedis(listener);
      await closeRedis(redis);
      await store.close();
      await admin.close();
    },
  };
}

function openEncoder(config: FlusherConfig): Encoder {
  if (config.encoder === 'parquetjs-lite') return new ParquetJsEncoder();
  return new DuckDbEncoder({
    ...DUCKDB_ENCODER_DEFAULTS,
    memoryBytesMax: config.encodeMemoryMiB * 1_048_576,
    threads: config.encodeThreads,
    tempDirectory: join(config.workDir, 'spill'),
  });
}

/** What an earlier process left behind is of no use: its seals are driven on from Redis. */
async function emptyWorkDir(workDir: string): Promise<void> {
  await mkdir(workDir, { recursive: true });
  for (const name of await readdir(workDir)) await rm(join(workDir, name), { recursive: true, force: true });
}
