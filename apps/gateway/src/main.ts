import { ClusterSecret } from '@miniodb/core/auth/cluster-secret.ts';
import { Directory } from '@miniodb/core/auth/directory.ts';
import { openJwtCheck } from '@miniodb/core/auth/jwt.ts';
import { TokenCheck } from '@miniodb/core/auth/token-check.ts';
import { TokenStore } from '@miniodb/core/auth/token-store.ts';
import { BACKUP_QUEUE, QUESTION_QUEUE } from '@miniodb/core/backup/requests.ts';
import { CLEANUP_QUEUE } from '@miniodb/core/index/cleanup.ts';
import { Membership } from '@miniodb/core/placement/members.ts';
import { JobProducer } from '@miniodb/core/queue/jobs.ts';
import { readPendingBytes } from '@miniodb/core/queue/table-counts.ts';
import { TaskQueue } from '@miniodb/core/queue/tasks.ts';
import { closeRedis, openRedis, whenReady } from '@miniodb/core/redis/client.ts';
import { RedisClock } from '@miniodb/core/redis/clock.ts';
import { Durability } from '@miniodb/core/redis/durability.ts';
import { readRedisMemory } from '@miniodb/core/redis/memory.ts';
import { watchRedis } from '@miniodb/core/redis/redis-metrics.ts';
import { startAdminServer } from '@miniodb/core/runtime/admin.ts';
import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import { openLog } from '@miniodb/core/runtime/log.ts';
import { type RunningRole, runRole } from '@miniodb/core/runtime/process.ts';
import { configureRole, logConfig } from '@miniodb/core/runtime/role-config.ts';
import { openGate } from '@miniodb/core/sql/gate.ts';
import { FixedKeys } from '@miniodb/core/table/keys.ts';
import packageJson from '../package.json' with { type: 'json' };
import { audited, auditRefusal } from './audit/audited.ts';
import { openAudit } from './audit/open.ts';
import { type GatewayConfig, gatewayConfig } from './config.ts';
import { forgetTablesNowAndThen } from './forget-tables.ts';
import { openGateway } from './gateway.ts';
import { GatewayMetrics } from './metrics.ts';
import { guarded } from './overload/guarded.ts';
import { MemoryGuard } from './overload/memory-guard.ts';
import { PrincipalLimits } from './overload/principal-limits.ts';
import { QuerierPool } from './query/route.ts';
import { openAuthentication } from './server/authenticate.ts';
import { openGatewayGrpc } from './server/grpc.ts';
import { openRest } from './server/rest.ts';
import { ensureFileTables } from './table/file-tables.ts';
import { KnownHistory } from './table/history.ts';
import { Tables } from './table/tables.ts';
import { GroupCommit } from './write/batch.ts';
import { ByteBudget } from './write/budget.ts';
import { CommitWatch } from './write/commit-watch.ts';
import { Enqueuer } from './write/enqueue.ts';

const REDIS_WAIT_MS = 30_000;
/** Calls under way may take this long to end once the process drains. */
const DRAIN_CALLS_MS = 20_000;
/** Of them, those that wait for a commit: they still have to be answered. */
const DRAIN_COMMITS_MS = 15_000;

const config = configureRole('gateway', gatewayConfig);
const log = openLog('gateway', config.nodeId, config.logLevel);
logConfig(log, config);
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
  const membership = new Membership(redis, log, {
    id: config.nodeId,
    role: 'gateway',
    address: `${config.advertisedHost}:${config.grpcPort}`,
  });
  const history = new KnownHistory(redis, membership, log);
  await history.start();
  const tables = new Tables(redis, fixed, clock, config, history);
  // Before the default one: the file may say how many shards it begins with.
  await ensureFileTables(redis, fixed, () => clock.nowMs(), config, log);
  await tables.ensureDefault();
  const producer = new JobProducer(redis);
  const groups = new GroupCommit(tables, new Enqueuer(redis, producer, fixed, clock));
  const commits = new CommitWatch(redis, fixed);
  const budget = new ByteBudget(config.inflightBytesMax, metrics);

  const audit = await openAudit({
    enabled: config.audit,
    path: config.auditFile,
    log,
    onLost: (entries) => metrics.auditLost(entries),
  });
  const memory = new MemoryGuard({
    readMemory: () => readRedisMemory(redis),
    readPending: async () => readPendingBytes(redis, fixed, [...(await tables.names())]),
    bytesMax: config.redisMemoryBytesMax,
    log,
    onSlowed: () => metrics.slowed(),
  });
  await memory.start();
  watchRedis(metrics, redis);
  const stopForgetting = forgetTablesNowAndThen(tables, metrics, log);
  const queriers = new QuerierPool(membership);
  const gate = await openGate();
  const nowMs = () => clock.nowMs();
  const authentication = openAuthentication({
    directory: new Directory(config.permissions),
    tokens: new TokenCheck(new TokenStore(redis), nowMs),
    jwt: config.auth.jwt === undefined ? undefined : await openJwtCheck(config.auth.jwt, nowMs),
    onRefused: (error) => {
      metrics.refused(asMiniodbError(error).code);
      auditRefusal(audit.auditor, 'authenticate', '', error);
    },
  });
  // Only a querier makes it look again, and that is where strangers come first.
  const secret = new ClusterSecret(redis, 0);
  // Made while there is memory for it: queries must be answered by a full Redis too.
  await secret.current();
  const cleanups = new TaskQueue(redis, CLEANUP_QUEUE);
  const backups = {
    tasks: new TaskQueue(redis, BACKUP_QUEUE),
    questions: new TaskQueue(redis, QUESTION_QUEUE),
    tables,
    clock,
    tablesMax: config.tablesMax,
  };
  const gateway = openGateway({
    backups,
    cleanups,
    write: { tables, groups, commits, durability, clock, metrics },
    query: {
      gate,
      tables,
      queriers,
      metrics,
      defaultTable: config.defaultTable,
      secret,
      clock,
    },
    manage: { redis, fixed, tables, defaults: config.tableDefaults, defaultTable: config.defaultTable },
    membership,
    redis,
    version: packageJson.version,
  });
  const canonical = (name: string) => tables.canonical(name);
  const limited = guarded(gateway, {
    memory,
    principals: new PrincipalLimits(config.permissions.limits),
    canonical,
    onRefused: (code) => metrics.refused(code),
    writesMax: config.inflightWritesMax,
    queriesMax: config.inflightQueriesMax,
  });
  const api = audited(limited, audit.auditor, canonical);
  const onFailed = (user: string, error: unknown) => auditRefusal(audit.auditor, 'request', user, error);
  const grpc = await openGatewayGrpc(api, budget, log, {
    host: config.host,
    port: config.grpcPort,
    authentication,
    onFailed,
  });
  const rest = await openRest(api, budget, log, {
    host: config.host,
    port: config.restPort,
    authentication,
    onFailed,
  });
  const admin = await startAdminServer({
    host: config.host,
    port: config.adminPort,
    metrics,
    log,
    notReadyBecause: () => (redis.status === 'ready' ? history.trouble?.message : `redis is ${redis.status}`),
  });
  await membership.join();
  grpc.setServing(true);
  log.info({ event: 'ready', grpc_port: grpc.port, rest_port: rest.port, admin_port: admin.port });

  return {
    async drain() {
      await membership.leave();
      commits.drain(DRAIN_COMMITS_MS);
      // Both stop taking calls at once; those under way get their answers.
      await Promise.all([grpc.close(DRAIN_CALLS_MS), rest.close(DRAIN_CALLS_MS)]);
      commits.close();
      await audit.close();
      stopForgetting();
      await memory.stop();
      queriers.close();
      gate.close();
      durability.stop();
      await history.stop();
      clock.stop();
      await producer.close();
      await Promise.all([backups.tasks.close(), backups.questions.close(), cleanups.close()]);
      await closeRedis(redis);
      await admin.close();
    },
  };
}
