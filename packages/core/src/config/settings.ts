import { z } from 'zod';
import { optionalSetting, ROLES, type RoleName, requiredSetting, setting } from './setting.ts';

/**
 * Every setting of every role by the name of its environment variable. This table is all there is: flags, keys of the
 * file, checks, `--help` and `config print` follow from it, and docs/configuration.md is held against it.
 */

const GATEWAY = ['gateway'] as const;
const FLUSHER = ['flusher'] as const;
const QUERIER = ['querier'] as const;
const TABLE_NAME = /^[A-Za-z0-9_]{1,64}$/;

const port = () => z.int().min(0).max(65_535);
const whole = (min: number, max: number) => z.int().min(min).max(max);
const text = () => z.string().min(1).max(4_096).describe('text');

export const SETTINGS = {
  REDIS_URL: setting(
    z
      .url({ protocol: /^rediss?$/ })
      .describe('a URL such as redis://host:6379 or rediss://user:password@host:6379/0'),
    'redis://127.0.0.1:6379',
    { roles: ROLES, paths: ['<role>.redis_url', 'redis.url'], secret: 'url', about: 'Redis' },
  ),
  MINIODB_STORE_URL: setting(
    z
      .url({ protocol: /^(file|s3)$/ })
      .refine(isWithoutCredentials, {
        error: 'has credentials in it, which belong into the settings for them',
        abort: true,
      })
      .describe('file:///path or s3://bucket?endpoint=http://host:9000&region=us-east-1'),
    'file:///var/lib/miniodb/olap-data',
    {
      roles: ROLES,
      paths: ['<role>.store_url', 'store.url', 'minio.url'],
      secret: 'url',
      about: 'object store',
    },
  ),
  MINIODB_STORE_ACCESS_KEY: optionalSetting(text(), {
    roles: ROLES,
    paths: ['<role>.store_access_key', 'store.access_key', 'minio.access_key_id'],
    secret: 'whole',
    about: 'of the object store; without it the S3 client looks for credentials in its own places',
  }),
  MINIODB_STORE_SECRET_KEY: optionalSetting(text(), {
    roles: ROLES,
    paths: ['<role>.store_secret_key', 'store.secret_key', 'minio.secret_access_key'],
    secret: 'whole',
    about: 'goes with the access key; better in the environment than in a flag, which others can see',
  }),
  MINIODB_HOST: setting(text(), '127.0.0.1', {
    roles: ROLES,
    paths: ['<role>.host', 'server.host'],
    about: 'address to bind',
  }),
  MINIODB_ADVERTISED_HOST: optionalSetting(text(), {
    roles: ROLES,
    paths: ['<role>.advertised_host', 'server.advertised_host'],
    about: 'host that peers reach it at; needed where it binds all interfaces',
  }),
  MINIODB_ALLOW_ANONYMOUS: setting(z.boolean(), false, {
    roles: ['gateway', 'querier'],
    paths: ['<role>.allow_anonymous', 'server.allow_anonymous'],
    about: 'whether it may bind beyond loopback while permissions are off',
  }),
  MINIODB_ADMIN_PORT: setting(port(), 0, {
    roles: ROLES,
    paths: ['<role>.admin_port', 'monitoring.port'],
    about: '/healthz, /readyz, /metrics; 0: a free one',
  }),
  MINIODB_LOG_LEVEL: setting(z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']), 'info', {
    roles: ROLES,
    paths: ['<role>.log_level', 'log.level'],
    about: 'of the JSON lines on stdout',
  }),
  // A file is read by many processes: it names the machine, and each process there adds a part of its own.
  MINIODB_NODE_NAME: optionalSetting(z.string().regex(/^[A-Za-z0-9._-]{1,96}$/), {
    roles: ROLES,
    paths: ['<role>.node_name', 'server.node_id'],
    about: 'the middle part of a node id that is not given; default: the host name',
  }),
  MINIODB_NODE_ID: optionalSetting(z.string().regex(/^[A-Za-z0-9._-]{1,128}$/), {
    roles: ROLES,
    paths: [],
    about: 'unique among live processes; default: role, node name and a random part',
  }),

  MINIODB_GRPC_PORT: setting(port(), 8080, {
    roles: GATEWAY,
    paths: ['gateway.grpc_port', 'server.grpc_port'],
    about: 'gRPC; 0: a free one',
  }),
  MINIODB_REST_PORT: setting(port(), 8081, {
    roles: GATEWAY,
    paths: ['gateway.rest_port', 'server.rest_port'],
    about: 'REST; 0: a free one',
  }),
  MINIODB_DEFAULT_TABLE: setting(z.string().regex(TABLE_NAME), 'default', {
    roles: ['gateway', 'querier'],
    paths: ['table_management.default_table'],
    about: 'what an empty table name and FROM table mean',
  }),
  MINIODB_AUTO_CREATE_TABLES: setting(z.boolean(), true, {
    roles: GATEWAY,
    paths: ['table_management.auto_create_tables'],
    about: 'whether a first write creates its table',
  }),
  MINIODB_MAX_TABLES: setting(whole(1, 1_000_000), 1_000, {
    roles: GATEWAY,
    paths: ['table_management.max_tables'],
    about: 'tables that there may be',
  }),
  MINIODB_TABLE_NAME_PATTERN: setting(
    z.string().max(1_000).refine(isRegex, { error: 'is not a regular expression', abort: true }),
    '^[a-zA-Z][a-zA-Z0-9_]{0,63}$',
    {
      roles: GATEWAY,
      paths: ['table_management.table_name_pattern'],
      about: 'regular expression that names of tables match',
    },
  ),
  MINIODB_INFLIGHT_BYTES_MAX: setting(whole(1_048_576, Number.MAX_SAFE_INTEGER), 1_024 * 1_048_576, {
    roles: GATEWAY,
    paths: ['gateway.inflight_bytes_max'],
    about: 'memory of the writes in work at once; beyond it 429',
  }),
  MINIODB_INFLIGHT_WRITES_MAX: setting(whole(1, 1_000_000), 10_000, {
    roles: GATEWAY,
    paths: ['gateway.inflight_writes_max'],
    about: 'writes in work at once; beyond it 429',
  }),
  MINIODB_INFLIGHT_QUERIES_MAX: setting(whole(1, 1_000_000), 1_000, {
    roles: GATEWAY,
    paths: ['gateway.inflight_queries_max'],
    about: 'queries in work at once; beyond it 429',
  }),
  MINIODB_REDIS_MEMORY_MAX: optionalSetting(whole(1_048_576, Number.MAX_SAFE_INTEGER), {
    roles: GATEWAY,
    paths: ['gateway.redis_memory_max'],
    about:
      'bytes that Redis may use where it has no maxmemory; from 60 % of it writes are slowed, from 75 % refused',
  }),
  MINIODB_AUDIT: setting(z.boolean(), true, {
    roles: GATEWAY,
    paths: ['audit.enabled'],
    about: 'whether every call is told of by a JSON object',
  }),
  MINIODB_AUDIT_FILE: optionalSetting(text(), {
    roles: GATEWAY,
    paths: ['audit.file'],
    about: 'where these go, opened again at SIGHUP; without it standard output',
  }),

  MINIODB_WORK_DIR: requiredSetting(text(), {
    roles: FLUSHER,
    paths: ['flusher.work_dir'],
    about: 'files of flushes under way; a directory of its own, emptied at start',
  }),
  // While DuckDB works for a flush, it holds one of the four threads of Node's pool. Three are two for whoever has most
  // to do, and one that is kept for tables that run nothing.
  MINIODB_FLUSH_CONCURRENCY: setting(whole(1, 64), 3, {
    roles: FLUSHER,
    paths: ['flusher.flush_concurrency'],
    about: 'flushes at a time; each holds the payloads of one seal',
  }),
  MINIODB_BACKUP_URL: optionalSetting(
    z
      .url({ protocol: /^(file|s3)$/ })
      .refine(isWithoutCredentials, {
        error: 'has credentials in it, which belong into the settings for them',
        abort: true,
      })
      .describe('file:///path or s3://bucket?endpoint=http://host:9000&region=us-east-1'),
    {
      roles: FLUSHER,
      paths: ['flusher.backup_url', 'store.backup_url'],
      secret: 'url',
      about: 'object store of the backups; without it that of the data, below ~backups',
    },
  ),
  MINIODB_BACKUP_ACCESS_KEY: optionalSetting(text(), {
    roles: FLUSHER,
    paths: ['flusher.backup_access_key', 'store.backup_access_key'],
    secret: 'whole',
    about: 'of that store; without it the one of the data',
  }),
  MINIODB_BACKUP_SECRET_KEY: optionalSetting(text(), {
    roles: FLUSHER,
    paths: ['flusher.backup_secret_key', 'store.backup_secret_key'],
    secret: 'whole',
    about: 'goes with it',
  }),
  MINIODB_ENCODER: setting(z.enum(['duckdb', 'parquetjs-lite']), 'duckdb', {
    roles: FLUSHER,
    paths: ['flusher.encoder'],
    about: 'what writes the Parquet',
  }),
  MINIODB_ENCODE_MEMORY_MIB: setting(whole(128, 1_048_576), 1_024, {
    roles: FLUSHER,
    paths: ['flusher.encode_memory_mib'],
    about: 'of all encodes together; beyond it DuckDB spills',
  }),
  MINIODB_ENCODE_THREADS: setting(whole(1, 256), 2, {
    roles: FLUSHER,
    paths: ['flusher.encode_threads'],
    about: 'threads of the encodes',
  }),
  MINIODB_COMPACT_SECONDS: setting(whole(1, 86_400), 60, {
    roles: FLUSHER,
    paths: ['flusher.compact_seconds'],
    about: 'between two looks for small files to merge',
  }),
  // Of 100 MiB of files, rows and what sorting them takes are spilled beyond it.
  MINIODB_COMPACT_MEMORY_MIB: setting(whole(128, 1_048_576), 512, {
    roles: FLUSHER,
    paths: ['flusher.compact_memory_mib'],
    about: 'of the one rewrite at a time, beside the encodes; beyond it DuckDB spills',
  }),
  MINIODB_SWEEP_SECONDS: setting(whole(1, 86_400), 30, {
    roles: FLUSHER,
    paths: ['flusher.sweep_seconds'],
    about: 'between two looks for objects whose time has come',
  }),
  // Ten times the longest query.
  MINIODB_RETENTION_SECONDS: setting(whole(1, 86_400), 3_600, {
    roles: FLUSHER,
    paths: ['flusher.retention_seconds'],
    about: 'how often each table is looked at for files whose retention is over',
  }),
  MINIODB_OBJECT_GRACE_SECONDS: setting(whole(1, 604_800), 600, {
    roles: FLUSHER,
    paths: ['flusher.object_grace_seconds'],
    about: 'how long objects stay that left the index; longer than the longest query',
  }),
  MINIODB_ORPHAN_SCAN_SECONDS: setting(whole(1, 2_592_000), 3_600, {
    roles: FLUSHER,
    paths: ['flusher.orphan_scan_seconds'],
    about: 'between two scans for objects that never entered the index; younger ones are left alone',
  }),

  MINIODB_QUERIER_PORT: setting(port(), 0, {
    roles: QUERIER,
    paths: ['querier.port'],
    about: 'for gateways; 0: a free one',
  }),
  MINIODB_CACHE_DIR: requiredSetting(text(), {
    roles: QUERIER,
    paths: ['querier.cache_dir'],
    about: 'local copies of objects and spill; a directory of its own, emptied at start',
  }),
  MINIODB_CACHE_MIB: setting(whole(16, 1_073_741_824), 4_096, {
    roles: QUERIER,
    paths: ['querier.cache_mib'],
    about: 'what local copies may take',
  }),
  MINIODB_QUERY_MEMORY_MIB: setting(whole(64, 1_048_576), 2_048, {
    roles: QUERIER,
    paths: ['querier.query_memory_mib'],
    about: 'memory of one query',
  }),
  MINIODB_QUERY_THREADS: setting(whole(1, 256), 2, {
    roles: QUERIER,
    paths: ['querier.query_threads'],
    about: 'threads of one query',
  }),
  MINIODB_QUERY_SPILL_MIB: setting(whole(0, 1_073_741_824), 4_096, {
    roles: QUERIER,
    paths: ['querier.query_spill_mib'],
    about: 'what one query may spill',
  }),
  MINIODB_QUERY_TIMEOUT_MS: setting(whole(100, 86_400_000), 60_000, {
    roles: QUERIER,
    paths: ['querier.query_timeout_ms'],
    about: 'how long a query may take',
  }),
  MINIODB_RESULT_ROWS_MAX: setting(whole(1, 1_000_000_000), 1_000_000, {
    roles: QUERIER,
    paths: ['querier.result_rows_max'],
    about: 'rows of a result; beyond it an error',
  }),
  MINIODB_RESULT_MIB_MAX: setting(whole(1, 1_048_576), 512, {
    roles: QUERIER,
    paths: ['querier.result_mib_max'],
    about: 'size of a result; beyond it an error',
  }),
  // Each may use the memory above.
  MINIODB_QUERIES_MAX: setting(whole(1, 1_024), 8, {
    roles: QUERIER,
    paths: ['querier.queries_max'],
    about: 'queries at a time; beyond it 429',
  }),
} as const;

export type SettingName = keyof typeof SETTINGS;

/** Undefined is among them where a role can do without. */
export type SettingValue<Name extends SettingName> =
  | z.infer<(typeof SETTINGS)[Name]['schema']>
  | Extract<(typeof SETTINGS)[Name]['fallback'], undefined>;

export const SETTING_NAMES = Object.keys(SETTINGS) as readonly SettingName[];

export function isOf(role: RoleName, name: SettingName): boolean {
  return (SETTINGS[name].roles as readonly RoleName[]).includes(role);
}

/** Of a URL of a store, which is logged, and of the endpoint in it. */
function isWithoutCredentials(text: string): boolean {
  const url = URL.parse(text);
  const endpoint = url?.searchParams.get('endpoint');
  return ![url, endpoint == null ? null : URL.parse(endpoint)].some(
    (one) => one !== null && (one.username !== '' || one.password !== ''),
  );
}

function isRegex(source: string): boolean {
  try {
    return new RegExp(source) instanceof RegExp;
  } catch {
    return false;
  }
}
