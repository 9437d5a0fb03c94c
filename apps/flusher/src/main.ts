import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DUCKDB_ENCODER_DEFAULTS, DuckDbEncoder } from '@miniodb/core/encode/duckdb.ts';
import type { Encoder, Rewriter } from '@miniodb/core/encode/encoder.ts';
import { ParquetJsEncoder } from '@miniodb/core/encode/parquetjs.ts';
import { ClusterIdWatch } from '@miniodb/core/placement/cluster-id-watch.ts';
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
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import { openObjectStore } from '@miniodb/core/storage/open-store.ts';
import { openRoleStore } from '@miniodb/core/storage/role-store.ts';
import { meterStore } from '@miniodb/core/storage/store-metrics.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { FixedKeys } from '@miniodb/core/table/keys.ts';
import { type FlusherConfig, flusherConfig } from './config.ts';
import { Scheduler } from './flush/scheduler.ts';
import { FlusherMetrics } from './metrics.ts';
import { Ownership } from './ownership/ownership.ts';
import { BackupTasks } from './upkeep/backup/tasks.ts';
import { collectDropsTask } from './upkeep/collect-drops.ts';
import { compactTask } from './upkeep/compact/compact.ts';
import { describeBucketTask } from './upkeep/describe-bucket.ts';
import { forgetTables } from './upkeep/forget-tables.ts';
import { Recount } from './upkeep/recount.ts';
import { repairListingTask } from './upkeep/repair-listing.ts';
import { Retain } from './upkeep/retain.ts';
import { Cleanups } from './upkeep/retain-cleanup.ts';
import { sweepTask } from './upkeep/sweep.ts';
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
  const backups = openBackups(config, store);
  const redis = openRedis({ url: config.redisUrl, connectionName: config.nodeId, log });
  await whenReady(redis, REDIS_WAIT_MS);
  // A connection that listens can do nothing else.
  const listener = openRedis({ url: config.redisUrl, connectionName: `${config.nodeId}-hints`, log });
  const clock = new RedisClock();
  await clock.start(redis);
  const jobs = new JobConsumer(redis, config.nodeId);
  const encoder = openEncoder(config);

  const membership = new Membership(redis, log, { id: config.nodeId, role: 'flusher', address: '' });
  const history = new ClusterIdWatch(redis, store, log, (trouble) => membership.tell(trouble?.code));
  await history.start();
  metrics.watch(
    'miniodb_cluster_history_unknown',
    'Whether Redis and the bucket are of different histories',
    () => (history.trouble === undefined ? 0 : 1),
  );
  await membership.join();
  const context = {
    redis,
    history,
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
    notReadyBecause: () =>
      scheduler.idleForMs > STUCK_MS ? 'has not looked for work lately' : history.trouble?.message,
  });
  const { tableDefaults: defaults, nodeId } = config;
  const backup = new BackupTasks({ ...context, catalog, backups, defaults, nodeId });
  const keeping = { objectGraceMs: config.objectGraceMs, nowMs: () => Date.now() };
  const rewriter = openRewriter(config);
  const flushesWaiting = () => scheduler.load.waiting;
  const { objectGraceMs: graceMs, sweepEveryMs, orphanScanEveryMs: scanEveryMs } = config;
  const cleanups = new Cleanups({ ...context, ...keeping, catalog, nodeId });
  const upkeep = new Upkeep(
    [
      collectDropsTask({ ...context, ownership }),
      repairListingTask({ ...context, ownership }),
      new Recount({ ...context, catalog, ownership }),
      describeBucketTask({ ...context, catalog, ownership }),
      cleanups,
      new Retain({ ...context, ...keeping, catalog, ownership }, config.retainEveryMs),
      // Without one that reads files, nothing is compacted.
      ...(rewriter === undefined
        ? []
        : [
            compactTask(
              { ...context, catalog, ownership, rewriter, flushesWaiting, nodeId, graceMs },
              config.compactEveryMs,
            ),
          ]),
      sweepTask(
        { ...context, catalog, ownership },
        { everyMs: sweepEveryMs, scanEveryMs, orphanAgeMs: scanEveryMs },
      ),
      forgetTables(catalog, metrics),
      ...backup.tasks,
    ],
    log,
    metrics,
    history,
  );
  scheduler.start();
  upkeep.start();
  log.info({ event: 'ready', admin_port: admin.port, store: store.location });

  return {
    async drain() {
      // Others take the shards over while what runs here is finished.
      await membership.leave();
      await Promise.all([scheduler.drain(), upkeep.stop()]);
      await history.stop();
      await cleanups.close();
      await backup.close();
      clock.stop();
      await jobs.close();
      await encoder.close();
      await rewriter?.close();
      await closeRedis(listener);
      await closeRedis(redis);
      if (backups !== store) await backups.close();
      await store.close();
      await admin.close();
    },
  };
}

/** Where backups go: a store of their own where one is set, else that of the data. */
function openBackups(config: FlusherConfig, store: ObjectStore): ObjectStore {
  const { backupUrl, backupAccessKey, backupSecretKey } = config;
  if (backupUrl === undefined) return store;
  const accessKeyId = backupAccessKey ?? config.storeAccessKey;
  const secretAccessKey = backupSecretKey ?? config.storeSecretKey;
  if (accessKeyId === undefined || secretAccessKey === undefined) return openObjectStore(backupUrl);
  return openObjectStore(backupUrl, { credentials: { accessKeyId, secretAccessKey } });
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

/** Beside the encoder, so that a rewrite takes neither memory nor threads from flushes. */
function openRewriter(config: FlusherConfig): Rewriter | undefined {
  if (config.encoder === 'parquetjs-lite') return undefined;
  return new DuckDbEncoder({
    ...DUCKDB_ENCODER_DEFAULTS,
    memoryBytesMax: config.compactMemoryMiB * 1_048_576,
    threads: 1,
    tempDirectory: join(config.workDir, 'compact-spill'),
  });
}

/** What an earlier process left behind is of no use: its seals are driven on from Redis. */
async function emptyWorkDir(workDir: string): Promise<void> {
  await mkdir(workDir, { recursive: true });
  for (const name of await readdir(workDir)) await rm(join(workDir, name), { recursive: true, force: true });
}
