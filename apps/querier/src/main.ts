import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Membership } from '@miniodb/core/placement/members.ts';
import { closeRedis, openRedis, whenReady } from '@miniodb/core/redis/client.ts';
import { startAdminServer } from '@miniodb/core/runtime/admin.ts';
import { openLog } from '@miniodb/core/runtime/log.ts';
import { type RunningRole, runRole } from '@miniodb/core/runtime/process.ts';
import { openGate } from '@miniodb/core/sql/gate.ts';
import { openRoleStore } from '@miniodb/core/storage/role-store.ts';
import { FixedKeys } from '@miniodb/core/table/keys.ts';
import { FileCache } from './cache/file-cache.ts';
import { type QuerierConfig, querierConfig } from './config.ts';
import { QuerierMetrics } from './metrics.ts';
import { createExecutor } from './query/execute.ts';
import { Fetcher } from './query/fetch.ts';
import { QueryPipeline } from './query/pipeline.ts';
import { Snapshots } from './query/snapshot.ts';
import { startQueryServer } from './server.ts';

const REDIS_WAIT_MS = 30_000;
/** Queries under way may take this long to end once the process drains. */
const DRAIN_QUERIES_MS = 20_000;

const config = querierConfig(process.env);
const log = openLog('querier', config.nodeId, config.logLevel);
await runRole(log, () => start(config));

async function start(config: QuerierConfig): Promise<RunningRole> {
  const metrics = new QuerierMetrics();
  const store = openRoleStore(config);
  await store.ensureReady();
  const redis = openRedis({ url: config.redisUrl, connectionName: config.nodeId, log });
  await whenReady(redis, REDIS_WAIT_MS);

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
  const pipeline = new QueryPipeline({
    gate,
    snapshots: new Snapshots(redis, new FixedKeys('single'), config.tableDefaults),
    fetcher,
    executor,
    metrics,
    defaultTable: config.defaultTable,
    queriesMax: config.queriesMax,
  });
  metrics.watch('miniodb_querier_queries_running', 'Queries under way', () => pipeline.running);
  metrics.watch('miniodb_querier_cache_bytes', 'Bytes of cached files', () => cache.bytes);

  const server = await startQueryServer(config.host, config.port, pipeline, log);
  const membership = new Membership(redis, log, {
    id: config.nodeId,
    role: 'querier',
    address: `${config.advertisedHost}:${server.port}`,
  });
  const admin = await startAdminServer({
    host: config.host,
    port: config.adminPort,
    metrics,
    log,
    notReadyBecause: () => (redis.status === 'ready' ? undefined : `redis is ${redis.status}`),
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
      await closeRedis(redis);
      await store.close();
      await admin.close();
    },
  };
}
