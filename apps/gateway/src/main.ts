import { Membership } from '@miniodb/core/placement/members.ts';
import { JobProducer } from '@miniodb/core/queue/jobs.ts';
import { closeRedis, openRedis, whenReady } from '@miniodb/core/redis/client.ts';
import { RedisClock } from '@miniodb/core/redis/clock.ts';
import { Durability } from '@miniodb/core/redis/durability.ts';
import { startAdminServer } from '@miniodb/core/runtime/admin.ts';
import { openLog } from '@miniodb/core/runtime/log.ts';
import { type RunningRole, runRole } from '@miniodb/core/runtime/process.ts';
import { openGate } from '@miniodb/core/sql/gate.ts';
import { FixedKeys } from '@miniodb/core/table/keys.ts';
import packageJson from '../package.json' with { type: 'json' };
import { type GatewayConfig, gatewayConfig } from './config.ts';
import { openGateway } from './gateway.ts';
import { GatewayMetrics } from './metrics.ts';
import { QuerierPool } from './query/route.ts';
import { openGatewayGrpc } from './server/grpc.ts';
import { openRest } from './server/rest.ts';
import { Tables } from './table/tables.ts';
import { GroupCommit } from './write/batch.ts';
import { ByteBudget } from './write/budget.ts';
import { Enqueuer } from './write/enqueue.ts';

const REDIS_WAIT_MS = 30_000;
/** Calls under way may take this long to end once the process drains. */
const DRAIN_CALLS_MS = 20_000;

const config = gatewayConfig(process.env);
const log = openLog('gateway', config.nodeId, config.logLevel);
await runRole(log, () => start(config));

async function start(config: GatewayConfig): Promise<RunningRole> {
  const metrics = new GatewayMetrics();
  const redis = openRedis({ url: config.redisUrl, connectionName: config.nodeId, log });
  await whenReady(redis, REDIS_WAIT_MS);
  const clock = new RedisClock();
  await clock.start(redis);
  const durability = new Durability(redis);
  durability.start();
  const fixed = new FixedKeys('single');
  const tables = new Tables(redis, fixed, clock, config);
  await tables.ensureDefault();
  const producer = new JobProducer(redis);
  const groups = new GroupCommit(tables, new Enqueuer(redis, producer, fixed, clock));
  const budget = new ByteBudget(config.inflightBytesMax, metrics);

  const membership = new Membership(redis, log, {
    id: config.nodeId,
    role: 'gateway',
    address: `${config.advertisedHost}:${config.grpcPort}`,
  });
  const queriers = new QuerierPool(membership);
  const gate = await openGate();
  const api = openGateway({
    write: { tables, groups, durability, clock, metrics },
    query: { gate, tables, queriers, metrics, defaultTable: config.defaultTable },
    tables,
    membership,
    redis,
    version: packageJson.version,
  });
  const grpc = await openGatewayGrpc(api, budget, log, { host: config.host, port: config.grpcPort });
  const rest = await openRest(api, budget, log, { host: config.host, port: config.restPort });
  const admin = await startAdminServer({
    host: config.host,
    port: config.adminPort,
    metrics,
    log,
    notReadyBecause: () => (redis.status === 'ready' ? undefined : `redis is ${redis.status}`),
  });
  await membership.join();
  grpc.setServing(true);
  log.info({ event: 'ready', grpc_port: grpc.port, rest_port: rest.port, admin_port: admin.port });

  return {
    async drain() {
      await membership.leave();
      // Both stop taking calls at once; those under way get their answers.
      await Promise.all([grpc.close(DRAIN_CALLS_MS), rest.close(DRAIN_CALLS_MS)]);
      queriers.close();
      gate.close();
      durability.stop();
      clock.stop();
      await producer.close();
      await closeRedis(redis);
      await admin.close();
    },
  };
}
