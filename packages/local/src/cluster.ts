import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { DataDir } from './data-dir.ts';
import { stopOrphans } from './orphans.ts';
import { freePort, isPortFree, LOOPBACK } from './ports.ts';
import { locateRedis } from './redis-locate.ts';
import { type RedisServer, startRedis } from './redis-server.ts';
import { type Role, type RolePorts, type RoleProcess, startRole } from './role.ts';
import { Supervised, type SupervisorEvent } from './supervisor.ts';

export interface ClusterOptions {
  /** Created where it is missing; one cluster at a time. */
  readonly dataDir: string;
  /** A Redis that runs elsewhere; without it the cluster has one of its own in the data directory. */
  readonly redisUrl?: string;
  /** Default: a directory store in the data directory. */
  readonly storeUrl?: string;
  /** How many of each; 1, 1 and 2 when left out. */
  readonly gateways?: number;
  readonly queriers?: number;
  readonly flushers?: number;
  /** Of the first gateway; further ones, and 0, get free ones. A port stays the same across restarts. */
  readonly grpcPort?: number;
  readonly restPort?: number;
  /** For every role, and for single ones by name (`flusher-1`), on top of what the cluster sets. */
  readonly env?: Readonly<Record<string, string>>;
  readonly envOf?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Whether crashed processes are started again. Default: true. */
  readonly restart?: boolean;
  readonly redisMaxMemoryBytes?: number;
  /** Of every role; `none`: not even ./config.yaml. Default: what MINIODB_CONFIG says here, or ./config.yaml. */
  readonly configFile?: string;
  readonly appsDir?: string;
  readonly onEvent?: (event: ClusterEvent) => void;
}

export type ClusterEvent =
  | SupervisorEvent
  | { readonly kind: 'orphan'; readonly name: string; readonly pid: number }
  | { readonly kind: 'progress'; readonly message: string };

type Member = Supervised<RoleProcess>;

/** Processes of a role that start, and stop, together; later ones need earlier ones to start, and to drain. */
const START_ORDER: readonly (readonly Role[])[] = [['querier', 'flusher'], ['gateway']];
const STOP_ORDER: readonly Role[] = ['gateway', 'flusher', 'querier'];

/**
 * A whole MinIODB on this machine: Redis, unless one is given, and the roles as processes of their own. Ready, and
 * with every port known, once `start` resolves. Stop it; a process that ends without doing so takes the roles with
 * it, because their pipes close.
 */
export class Cluster {
  readonly dataDir: DataDir;
  readonly redisUrl: string;
  readonly storeUrl: string;
  readonly #options: ClusterOptions;
  readonly #redis: Supervised<RedisServer> | undefined;
  readonly #members = new Map<string, { readonly role: Role; readonly member: Member }>();
  #env: Readonly<Record<string, Readonly<Record<string, string>>>>;
  #stopped: Promise<void> | undefined;

  private constructor(options: ClusterOptions, dataDir: DataDir, redis: Supervised<RedisServer> | undefined) {
    this.#options = options;
    this.#redis = redis;
    this.#env = options.envOf ?? {};
    this.dataDir = dataDir;
    this.redisUrl = options.redisUrl ?? redis!.current.url;
    this.storeUrl = options.storeUrl ?? pathToFileURL(dataDir.objectsDir).href;
  }

  /**
   * Throws `failed_precondition` (`data_dir_in_use`, `data_dir_not_writable`, `port_in_use`, `redis_not_found`) or
   * `unavailable` when a process does not get ready; nothing is left running then.
   */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const tell = options.onEvent ?? (() => {});
    const dataDir = await DataDir.lock(options.dataDir);
    let cluster: Cluster | undefined;
    let redis: Supervised<RedisServer> | undefined;
    try {
      await stopOrphans(dataDir.runDir, (name, pid) => tell({ kind: 'orphan', name, pid }));
      await requireFree(options.grpcPort, 'gRPC');
      await requireFree(options.restPort, 'REST');
      if (options.redisUrl === undefined) redis = await superviseRedis(options, dataDir, tell);
      cluster = new Cluster(options, dataDir, redis);
      await cluster.#startRoles();
      return cluster;
    } catch (error) {
      await (cluster?.stop() ?? closeDataDir(redis, dataDir));
      throw error;
    }
  }

  async #startRoles(): Promise<void> {
    const counts = {
      gateway: this.#options.gateways ?? 1,
      querier: this.#options.queriers ?? 1,
      flusher: this.#options.flushers ?? 2,
    };
    for (const roles of START_ORDER) {
      const starts = roles.flatMap((role) => Array.from({ length: counts[role] }, () => role));
      // Every start is waited for, so that a failed one does not leave another half way.
      const results = await Promise.allSettled(
        numbered(starts).map(({ role, n }) => this.#startRole(role, n)),
      );
      for (const result of results) if (result.status === 'rejected') throw result.reason;
    }
  }

  async #startRole(role: Role, n: number): Promise<Member> {
    const name = `${role}-${n}`;
    const first = n === 1;
    const portEnv: Record<string, string> =
      role === 'gateway'
        ? {
            MINIODB_GRPC_PORT: String((first && this.#options.grpcPort) || (await freePort())),
            MINIODB_REST_PORT: String((first && this.#options.restPort) || (await freePort())),
          }
        : {};
    const member = await Supervised.start({
      name,
      restart: this.#options.restart ?? true,
      onEvent: this.#options.onEvent ?? (() => {}),
      start: () =>
        startRole({
          role,
          name,
          logFile: this.dataDir.logFile(name),
          pidFile: join(this.dataDir.runDir, `${name}.json`),
          ...(this.#options.appsDir === undefined ? {} : { appsDir: this.#options.appsDir }),
          env: { ...this.#roleEnv(role, name), ...portEnv, ...this.#options.env, ...this.#env[name] },
        }),
    });
    this.#members.set(name, { role, member });
    return member;
  }

  #roleEnv(role: Role, name: string): Record<string, string> {
    const common = {
      REDIS_URL: this.redisUrl,
      MINIODB_STORE_URL: this.storeUrl,
      MINIODB_HOST: LOOPBACK,
      MINIODB_ADMIN_PORT: '0',
      ...(this.#options.configFile === undefined ? {} : { MINIODB_CONFIG: this.#options.configFile }),
    };
    if (role === 'flusher') return { ...common, MINIODB_WORK_DIR: this.dataDir.workDir(name) };
    if (role === 'querier') {
      return { ...common, MINIODB_QUERIER_PORT: '0', MINIODB_CACHE_DIR: this.dataDir.workDir(name) };
    }
    return common;
  }

  /** Names of the running roles: `gateway-1`, `querier-1`, `flusher-1`, `flusher-2`. */
  get names(): readonly string[] {
    return [...this.#members.keys()];
  }

  /** Throws `not_found`/`no_such_member`. */
  member(name: string): RoleProcess {
    return this.#member(name).current;
  }

  /** Undefined when Redis runs elsewhere. */
  get redis(): RedisServer | undefined {
    return this.#redis?.current;
  }

  /** Where clients go: host and ports of the first gateway. */
  get endpoint(): { readonly host: string; readonly grpcPort: number; readonly restPort: number } {
    const { grpc_port, rest_port } = this.member('gateway-1').ports as Required<RolePorts>;
    return { host: LOOPBACK, grpcPort: grpc_port, restPort: rest_port };
  }

  /** One more of a role, with the next number. @returns its name */
  async add(role: Role): Promise<string> {
    const numbers = [...this.#members.keys()]
      .filter((name) => name.startsWith(`${role}-`))
      .map((name) => Number(name.slice(role.length + 1)));
    return (await this.#startRole(role, Math.max(0, ...numbers) + 1)).name;
  }

  /** Stops one for good. */
  async remove(name: string): Promise<void> {
    await this.#member(name).stop();
    this.#members.delete(name);
  }

  /**
   * Starts one role again, after SIGTERM (`stop`) or SIGKILL (`kill`); also one that crashed.
   * @param env replaces what `envOf` said for it, for this start and those after it
   */
  async restart(
    name: string,
    options: { readonly how?: 'stop' | 'kill'; readonly env?: Readonly<Record<string, string>> } = {},
  ): Promise<void> {
    const member = this.#member(name);
    if (options.env !== undefined) this.#env = { ...this.#env, [name]: options.env };
    await member.restartNow(options.how);
  }

  /** Redis with its port and its data, as restart does. */
  async restartRedis(how: 'stop' | 'kill' = 'stop'): Promise<void> {
    if (this.#redis === undefined) {
      throw new MiniodbError('failed_precondition', 'this cluster uses a Redis that runs elsewhere', {
        code: 'redis_runs_elsewhere',
      });
    }
    await this.#redis.restartNow(how);
  }

  /** Gateways, flushers, queriers, then Redis; each drains first. Gives the data directory back. Repeatable. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  async #stopAll(): Promise<void> {
    for (const stopped of STOP_ORDER) {
      const members = [...this.#members.values()].filter(({ role }) => role === stopped);
      await Promise.all(members.map(({ member }) => member.stop()));
    }
    await closeDataDir(this.#redis, this.dataDir);
  }

  /** SIGKILL for everything at once, synchronously: the way out when somebody will not wait for `stop`. */
  killAll(): void {
    for (const { member } of this.#members.values()) member.current.process.signal('SIGKILL');
    this.#redis?.current.process.signal('SIGKILL');
    rmSync(this.dataDir.lockFile, { force: true });
  }

  #member(name: string): Member {
    const found = this.#members.get(name);
    if (found === undefined) {
      throw new MiniodbError('not_found', `this cluster has no ${name}`, { code: 'no_such_member' });
    }
    return found.member;
  }
}

function numbered(roles: readonly Role[]): { readonly role: Role; readonly n: number }[] {
  return roles.map((role, index) => ({
    role,
    n: roles.slice(0, index).filter((earlier) => earlier === role).length + 1,
  }));
}

async function superviseRedis(
  options: ClusterOptions,
  dataDir: DataDir,
  tell: (event: ClusterEvent) => void,
): Promise<Supervised<RedisServer>> {
  const program = await locateRedis({
    softwareDir: dataDir.redisSoftwareDir,
    onProgress: (message) => tell({ kind: 'progress', message }),
  });
  let port: number | undefined;
  return Supervised.start({
    name: 'redis',
    restart: options.restart ?? true,
    onEvent: tell,
    start: async () => {
      const server = await startRedis({
        program,
        dataDir: dataDir.redisDataDir,
        logFile: dataDir.logFile('redis'),
        pidFile: join(dataDir.runDir, 'redis.json'),
        ...(port === undefined ? {} : { port }),
        ...(options.redisMaxMemoryBytes === undefined ? {} : { maxMemoryBytes: options.redisMaxMemoryBytes }),
      });
      // The roles know this port: Redis must come back there.
      port = server.port;
      return server;
    },
  });
}

async function closeDataDir(redis: Supervised<RedisServer> | undefined, dataDir: DataDir): Promise<void> {
  await redis?.stop();
  dataDir.unlock();
}

async function requireFree(port: number | undefined, what: string): Promise<void> {
  if (port === undefined || port === 0 || (await isPortFree(port))) return;
  throw new MiniodbError('failed_precondition', `the ${what} port ${port} is in use`, {
    code: 'port_in_use',
    details: { port, protocol: what },
  });
}
