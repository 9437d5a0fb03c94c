import {
  choiceField,
  numberField,
  portField,
  readConfig,
  textField,
} from '@miniodb/core/runtime/role-config.ts';
import { DEFAULT_TABLE_CONFIG, type TableConfig } from '@miniodb/core/table/config.ts';

const fields = {
  MINIODB_GRPC_PORT: portField(8080),
  MINIODB_REST_PORT: portField(8081),
  MINIODB_DEFAULT_TABLE: textField('default'),
  MINIODB_AUTO_CREATE_TABLES: choiceField(['true', 'false'], 'true'),
  MINIODB_MAX_TABLES: numberField(1_000, 1, 1_000_000),
  MINIODB_TABLE_NAME_PATTERN: textField('^[a-zA-Z][a-zA-Z0-9_]{0,63}$'),
  /** What writes may take of memory at once (write/budget.ts); more are refused with 429. */
  MINIODB_INFLIGHT_BYTES_MAX: numberField(1_024 * 1_048_576, 1_048_576, Number.MAX_SAFE_INTEGER),
} as const;

export function gatewayConfig(env: Readonly<Record<string, string | undefined>>) {
  const config = readConfig('gateway', env, fields);
  const own = config.own;
  const defaults: TableConfig = DEFAULT_TABLE_CONFIG;
  return {
    ...config,
    grpcPort: own.MINIODB_GRPC_PORT,
    restPort: own.MINIODB_REST_PORT,
    defaultTable: own.MINIODB_DEFAULT_TABLE,
    autoCreateTables: own.MINIODB_AUTO_CREATE_TABLES === 'true',
    tablesMax: own.MINIODB_MAX_TABLES,
    tableNamePattern: new RegExp(own.MINIODB_TABLE_NAME_PATTERN),
    inflightBytesMax: own.MINIODB_INFLIGHT_BYTES_MAX,
    tableDefaults: defaults,
  };
}

export type GatewayConfig = ReturnType<typeof gatewayConfig>;
