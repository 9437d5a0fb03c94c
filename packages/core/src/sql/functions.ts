import type { DuckDBConnection } from '../duckdb/instance.ts';

/** The only functions that may stand in FROM. */
export const TABLE_FUNCTIONS: ReadonlySet<string> = new Set(['range', 'generate_series', 'unnest']);

/**
 * Scalars without a declared side effect that still reach beyond the rows: settings, variables, the catalog, the
 * session, other SQL, or the engine's internals. `duckdb_functions()` marks only what is volatile, so these are named.
 */
const REFUSED: ReadonlySet<string> = new Set([
  'checkpoint',
  'create_sort_key',
  'currval',
  'current_catalog',
  'current_database',
  'current_query',
  'current_role',
  'current_schema',
  'current_schemas',
  'current_setting',
  'current_user',
  'enable_logging',
  'force_checkpoint',
  'generate_subscripts',
  'get_block_size',
  'getenv',
  'getvariable',
  'glob',
  'in_search_path',
  'json_deserialize_sql',
  'json_execute_serialized_sql',
  'json_serialize_plan',
  'json_serialize_sql',
  'nextval',
  'query',
  'query_table',
  'session_user',
  'setseed',
  'txid_current',
  'user',
  'vector_type',
  'which_secret',
  'write_log',
]);

const REFUSED_PREFIXES = [
  '__internal_',
  'col_description',
  'duckdb_',
  'format_pg_type',
  'has_',
  'inet_',
  'map_to_pg_oid',
  'obj_description',
  'parquet_',
  'parse_duckdb_',
  'pg_',
  'pragma_',
  'read_',
  'shobj_description',
  'sniff_',
];

/** Not in `duckdb_functions()`, or only as a table function there, though expressions may call them. */
const ALSO_ALLOWED = ['coalesce', 'ifnull', 'unnest'];

export type FunctionVerdict = 'allowed' | 'refused' | 'unknown';

/**
 * What a function's name means in an expression. The list of the engine that will run the query is the allowlist:
 * gate and executor are the same binary, so a name it lacks would fail at the binder anyway, and refusing it here
 * keeps whatever the binder falls back to (looking for an extension by that name) out of reach.
 */
export type FunctionCatalog = (name: string) => FunctionVerdict;

export async function loadFunctionCatalog(connection: DuckDBConnection): Promise<FunctionCatalog> {
  const reader = await connection.runAndReadAll(
    `SELECT lower(function_name), coalesce(bool_or(has_side_effects), false),
            bool_or(function_type IN ('scalar', 'aggregate', 'macro'))
     FROM duckdb_functions() GROUP BY ALL`,
  );
  const verdicts = new Map<string, FunctionVerdict>();
  for (const [name, sideEffects, inExpressions] of reader.getRows()) {
    verdicts.set(String(name), sideEffects === true || inExpressions !== true ? 'refused' : 'allowed');
  }
  for (const name of ALSO_ALLOWED) verdicts.set(name, 'allowed');
  return (name) => (isRefused(name) ? 'refused' : (verdicts.get(name) ?? 'unknown'));
}

function isRefused(name: string): boolean {
  return REFUSED.has(name) || REFUSED_PREFIXES.some((prefix) => name.startsWith(prefix));
}
