import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DUCKDB_ENCODER_DEFAULTS, DuckDbEncoder } from '@miniodb/core/encode/duckdb.ts';
import type { Encoder } from '@miniodb/core/encode/encoder.ts';
import { ParquetJsEncoder } from '@miniodb/core/encode/parquetjs.ts';
import { Membership } from '@miniodb/core/placement/members.ts';
import { JobConsumer } from '@miniodb/core/queue/jobs.ts';
import { closeRedis, openRedis, whenReady } from '@miniodb/core/redis/client.ts';
import { startAdminServer } from '@miniodb/core/runtime/admin.ts';
import { openLog } from '@miniodb/core/runtime/log.ts';
import { type RunningRole, runRole } from '@miniodb/core/runtime/process.ts';
import { openRoleStore } from '@miniodb/core/storage/role-store.ts';
import { FixedKeys } from '@miniodb/core/table/keys.ts';
import { type FlusherConfig, flusherConfig } from './config.ts';
import { Scheduler } from './flush/scheduler.ts';
import { FlusherMetrics } from './metrics.ts';
import { Ownership } from './ownership/ownership.ts';

const REDIS_WAIT_MS = 30_000;
/** A scheduler that has not looked for work for this long is not ready: Redis or the event loop is stuck. */
const STUCK_MS = 10_000;

const config = flusherConfig(process.env);
const log = openLog('flusher', config.nodeId, config.logLevel);
await runRole(log, () => start(config));

async function start(config: FlusherConfig): Promise<RunningRole> {
  const metrics = new FlusherMetrics();
  await emptyWorkDir(config.workDir);
  const store = openRoleStore(config);
  await store.ensureReady();
  const redis = openRedis({ url: config.redisUrl, connectionName: config.nodeId, log });
  await whenReady(redis, REDIS_WAIT_MS);
  const jobs = new JobConsumer(redis, config.nodeId);
  const encoder = openEncoder(config);

  const membership = new Membership(redis, log, { id: config.nodeId, role: 'flusher', address: '' });
  await membership.join();
  const context = {
    redis,
    fixed: new FixedKeys('single'),
    jobs,
    encoder,
    store,
    workDir: config.workDir,
    log,
    metrics,
  };
  const ownership = new Ownership(membership, config.nodeId);
  const scheduler = new Scheduler(context, ownership, config.tableDefaults, config.flushConcurrency);
  const admin = await startAdminServer({
    host: config.host,
    port: config.adminPort,
    metrics,
    log,
    notReadyBecause: () => (scheduler.idleForMs > STUCK_MS ? 'has not looked for work lately' : undefined),
  });
  scheduler.start();
  log.info({ event: 'ready', admin_port: admin.port, store: store.location });

  return {
    async drain() {
      // Others take the shards over while what runs here is finished.
      await membership.leave();
      await scheduler.drain();
      await jobs.close();
      await encoder.close();
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
