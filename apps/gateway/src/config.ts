import type { Settings } from '@miniodb/core/config/resolve.ts';
import { roleConfig } from '@miniodb/core/runtime/role-config.ts';
import type { TableConfigInput } from '@miniodb/core/table/config.ts';
import { canonicalTableName } from '@miniodb/core/table/name.ts';

export function gatewayConfig(settings: Settings) {
  const fileTables: ReadonlyMap<string, TableConfigInput> = new Map(
    [...settings.fileTables].map(([name, { config }]) => [name, config]),
  );
  return {
    ...roleConfig(settings),
    grpcPort: settings.get('MINIODB_GRPC_PORT'),
    restPort: settings.get('MINIODB_REST_PORT'),
    defaultTable: canonicalTableName(settings.get('MINIODB_DEFAULT_TABLE')),
    autoCreateTables: settings.get('MINIODB_AUTO_CREATE_TABLES'),
    tablesMax: settings.get('MINIODB_MAX_TABLES'),
    tableNamePattern: new RegExp(settings.get('MINIODB_TABLE_NAME_PATTERN')),
    /** What writes may take of memory at once (write/budget.ts); more are refused with 429. */
    inflightBytesMax: settings.get('MINIODB_INFLIGHT_BYTES_MAX'),
    inflightWritesMax: settings.get('MINIODB_INFLIGHT_WRITES_MAX'),
    inflightQueriesMax: settings.get('MINIODB_INFLIGHT_QUERIES_MAX'),
    /** What Redis may use where it has no maxmemory. */
    redisMemoryBytesMax: settings.get('MINIODB_REDIS_MEMORY_MAX'),
    audit: settings.get('MINIODB_AUDIT'),
    /** Undefined: standard output. */
    auditFile: settings.get('MINIODB_AUDIT_FILE'),
    permissions: settings.permissions,
    auth: settings.auth,
    /** Those of the file, by their names in lower case. */
    fileTables,
  };
}

export type GatewayConfig = ReturnType<typeof gatewayConfig>;
