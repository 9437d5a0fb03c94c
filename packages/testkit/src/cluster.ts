import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeRedis, openRedis, type Redis, whenReady } from '@miniodb/core/redis/client.ts';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { Cluster, type ClusterOptions } from '@miniodb/local/cluster.ts';
import { type OlapClient, openOlapClient } from '@miniodb/proto/client.ts';

/** A whole cluster of real processes on a directory of its own, with clients of its public interfaces. */
export interface TestCluster {
  readonly cluster: Cluster;
  readonly grpc: OlapClient;
  /** Behind the cluster's back. */
  readonly redis: Redis;
  /** Of the first gateway: `http://127.0.0.1:port`. */
  readonly restUrl: string;
  rest(method: string, path: string, body?: unknown): Promise<RestAnswer>;
  /** Rows of a query over REST; throws with the problem when it is refused. */
  query(sql: string): Promise<Record<string, unknown>[]>;
  count(table: string): Promise<number>;
  /** Keys of the table's living incarnation. */
  keysOf(table: string): Promise<ProtocolKeys>;
  pendingRows(table: string): Promise<number>;
  stop(): Promise<void>;
}

export interface RestAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

const CONNECT_MS_MAX = 5_000;

export async function startTestCluster(options: Partial<ClusterOptions> = {}): Promise<TestCluster> {
  const dataDir = await mkdtemp(join(tmpdir(), 'miniodb-cluster-'));
  const cluster = await Cluster.start({ dataDir, configFile: 'none', ...options });
  const { host, grpcPort, restPort } = cluster.endpoint;
  const grpc = openOlapClient(`${host}:${grpcPort}`);
  const redis = openRedis({ url: cluster.redisUrl, connectionName: 'test', log: silentLog() });
  await whenReady(redis, CONNECT_MS_MAX);
  const fixed = new FixedKeys('single');
  const keysOf = async (table: string) => {
    const generation = await redis.hget(fixed.config(table), 'generation');
    return new ProtocolKeys(table, generation ?? '');
  };
  const restUrl = `http://${host}:${restPort}`;
  const rest = (method: string, path: string, body?: unknown) => callRest(restUrl, method, path, body);
  const query = async (sql: string) => {
    const answer = await rest('POST', '/v1/query', { sql });
    if (answer.status !== 200) throw new Error(`query refused: ${JSON.stringify(answer.body)}`);
    return JSON.parse(answer.body.result_json as string) as Record<string, unknown>[];
  };
  return {
    cluster,
    grpc,
    redis,
    restUrl,
    rest,
    query,
    count: async (table) => Number((await query(`SELECT count(*) AS n FROM ${table}`))[0]!.n),
    keysOf,
    pendingRows: async (table) =>
      Number((await redis.hget((await keysOf(table)).counters, 'pending_rows')) ?? '0'),
    async stop() {
      grpc.close();
      await closeRedis(redis);
      await cluster.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

export async function callRest(
  restUrl: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<RestAnswer> {
  const response = await fetch(`${restUrl}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}
