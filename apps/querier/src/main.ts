import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ClusterSecret } from '@miniodb/core/auth/cluster-secret.ts';
import { Directory } from '@miniodb/core/auth/directory.ts';
import { ClusterIdWatch } from '@miniodb/core/placement/cluster-id-watch.ts';
import { Membership } from '@miniodb/core/placement/members.ts';
import { closeRedis, openRedis, whenReady } from '@miniodb/core/redis/client.ts';
import { RedisClock } from '@miniodb/core/redis/clock.ts';
import { watchRedis } from '@miniodb/core/redis/redis-metrics.ts';
import { startAdminServer } from '@miniodb/core/runtime/admin.ts';
import { openLog } from '@miniodb/core/runtime/log.ts';
import { type RunningRole, runRole } from '@miniodb/core/runtime/process.ts';
import { configureRole, logConfig } from '@miniodb/core/runtime/role-config.ts';
import { openGate } from '@miniodb/core/sql/gate.ts';
import { MeteredObjectStore } from '@miniodb/core/storage/metered.ts';
import { openRoleStore } from '@miniodb/core/storage/role-store.ts';
import { meterStore } from '@miniodb/core/storage/store-metrics.ts';
import { FixedKeys } from '@miniodb/core/table/keys.ts';
import { FileCache } from './cache/file-cache.ts';
import { type QuerierConfig, querierConfig } from './config.ts';
import { QuerierMetrics } from './metrics.ts';
import { CallerCheck } from './query/authorize.ts';
import { createExecutor } from './query/execute.ts';
import { Fetcher } from './query/fetch.ts';
import { QueryPipeline } from './query/pipeline.ts';
import { Snapshots } from './query/snapshot.ts';
import { startQueryServer } from './server.ts';

const REDIS_WAIT_MS = 30_000;
/** Queries under way may take this long to end once the process drains. */
const DRAIN_QUERIES_MS = 20_000;

const config = configureRole('querier', querierConfig);
const log = openLog('querier', config.nodeId, config.logLevel);
logConfig(log, config);
await runRole(log, () => start(config));

async function start(config: QuerierConfig): Promise<RunningRole> {
  const metrics = new QuerierMetrics();
  const store = new MeteredObjectStore(openRoleStore(config), meterStore(metrics));
  await store.ensureReady();
  const redis = openRedis({ url: config.redisUrl, connectionName: config.nodeId, log });
  await whenReady(redis, REDIS_WAIT_MS);
  const clock = new RedisClock();
  await clock.start(redis);

  let member: Membership | undefined;
  const history = new ClusterIdWatch(redis, store, log, (trouble) => member?.tell(trouble?.code));
  await history.start();
  metrics.watch(
    'miniodb_cluster_history_unknown',
    'Whether Redis and the bucket are of different histories',
    () => (history.trouble === undefined ? 0 : 1),
  );

  const cache = new FileCache(join(config.cacheDir, 'files'), config.cacheBytesMax);
  await cache.open();
  const fetcher = new Fetcher(redis, store, cache, join(config.cacheDir, 'pending'));
  await fetcher.open();
  const spill = join(config.cacheDir, 'spill');
  await mkdir(spill, { recursive: true });
  const gate = await openGate();
  const executor = createExecutor({
    memoryLimitMiB: config.queryMemoryMiB,
    threads: config.queryThreads,
    tempDirectory: spill,
    tempSizeMiB: config.querySpillMiB,
    resultRowsMax: config.resultRowsMax,
    resultBytesMax: config.resultBytesMax,
    timeoutMs: config.queryTimeoutMs,
    prewarm: 2,
  });
  const directory = new Directory(config.permissions);
  const callers = new CallerCheck(directory, new ClusterSecret(redis), () => clock.nowMs());
  const pipeline = new QueryPipeline({
    gate,
    snapshots: new Snapshots(redis, new FixedKeys('single'), config.tableDefaults, history),
    fetcher,
    executor,
    metrics,
    defaultTable: config.defaultTable,
    queriesMax: config.queriesMax,
  });
  metrics.watch('miniodb_querier_queries_running', 'Queries under way', () => pipeline.running);
  metrics.watch('miniodb_querier_cache_bytes', 'Bytes of cached files', () => cache.bytes);
  metrics.watch('miniodb_querier_cache_max_bytes', 'What cached files may take', () => config.cacheBytesMax);
  const { counts } = cache;
  metrics.watchTotal('miniodb_querier_cache_hits_total', 'Files found in the cache', () => counts.hits);
  metrics.watchTotal('miniodb_querier_cache_misses_total', 'Files fetched', () => counts.misses);
  metrics.watchTotal(
    'miniodb_querier_cache_evictions_total',
    'Files that made room for others',
    () => counts.evictions,
  );
  watchRedis(metrics, redis);

  const server = await startQueryServer(config.host, config.port, callers, pipeline, log);
  const membership = new Membership(redis, log, {
    id: config.nodeId,
    role: 'querier',
    address: `${config.advertisedHost}:${server.port}`,
  });
  membership.tell(history.trouble?.code);
  member = membership;
  const admin = await startAdminServer({
    host: config.host,
    port: config.adminPort,
    metrics,
    log,
    notReadyBecause: () => (redis.status === 'ready' ? history.trouble?.message : `redis is ${redis.status}`),
  });
  server.setServing(true);
  await membership.join();
  log.info({ event: 'ready', port: server.port, admin_port: admin.port, store: store.location });

  return {
    async drain() {
      await membership.leave();
      await server.close(DRAIN_QUERIES_MS);
      await executor.close();
      gate.close();
      await history.stop();
      clock.stop();
      await closeRedis(redis);
      await store.close();
      await admin.close();
    },
  };
}
