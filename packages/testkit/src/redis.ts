import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeRedis, openRedis, type Redis, whenReady } from '@miniodb/core/redis/client.ts';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { locateRedis } from '@miniodb/local/redis-locate.ts';
import { type RedisServer, startRedis } from '@miniodb/local/redis-server.ts';

/** A Redis of a test's own, durable as in production, on a directory that goes with it. */
export interface TestRedis {
  readonly url: string;
  readonly server: RedisServer;
  readonly redis: Redis;
  /** A further connection, closed with the rest. */
  connect(): Promise<Redis>;
  stop(): Promise<void>;
}

const CONNECT_MS_MAX = 5_000;

export async function startTestRedis(options: { maxMemoryBytes?: number } = {}): Promise<TestRedis> {
  const dataDir = await mkdtemp(join(tmpdir(), 'miniodb-redis-'));
  const program = await locateRedis({ softwareDir: join(tmpdir(), 'miniodb-test-software') });
  const server = await startRedis({ program, dataDir, logFile: join(dataDir, 'redis.log'), ...options });
  const connections: Redis[] = [];
  const connect = async () => {
    const redis = openRedis({ url: server.url, connectionName: 'test', log: silentLog() });
    connections.push(redis);
    await whenReady(redis, CONNECT_MS_MAX);
    return redis;
  };
  return {
    url: server.url,
    server,
    redis: await connect(),
    connect,
    async stop() {
      await Promise.all(connections.map((connection) => closeRedis(connection)));
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
