import type { ClusterSecret } from '@miniodb/core/auth/cluster-secret.ts';
import { requireRead } from '@miniodb/core/auth/principal.ts';
import { queryHashOf, VOUCHER_METADATA_KEY, type VouchedQuery } from '@miniodb/core/auth/voucher.ts';
import type { RedisClock } from '@miniodb/core/redis/clock.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Gate } from '@miniodb/core/sql/gate.ts';
import type { QuerierClient } from '@miniodb/proto/client.ts';
import type { ExecuteTrailer } from '@miniodb/proto/gen/miniodb/internal/v1/querier.ts';
import type { CallContext, QueryInput, QueryOutput } from '../api.ts';
import type { GatewayMetrics } from '../metrics.ts';
import type { Tables } from '../table/tables.ts';
import { isWorthAnotherQuerier, type QuerierPool } from './route.ts';
import { vouching } from './vouch.ts';

/** Answers are one JSON text of at most this many bytes: what a gRPC message and a client's memory take. */
const RESULT_BYTES_MAX = 60 * 1_048_576;
const QUERY_DEADLINE_MS = 65_000;

export interface QueryContext {
  readonly gate: Gate;
  readonly tables: Tables;
  readonly queriers: QuerierPool;
  readonly metrics: GatewayMetrics;
  readonly defaultTable: string;
  readonly secret: ClusterSecret;
  readonly clock: RedisClock;
}

/** The gateway's part of a query: gate, grants, tables that exist, the querier that suits, and the next one if it fails. */
export async function runQuery(
  context: QueryContext,
  request: QueryInput,
  call: CallContext,
): Promise<QueryOutput> {
  const started = performance.now();
  const names = await context.tables.names();
  const { defaultTable } = context;
  // Tables that the caller may not read are no tables here: what is quoted for being one must not tell of them.
  const isTable = (name: string) => names.has(name) && call.principal.grants.allow('read', name);
  const gated = await context.gate.check(request.sql, { defaultTable, isTable });
  const tables = gated.tables.map((table) => table.name);
  call.onTables?.(tables);
  requireRead(call.principal, tables);
  if (gated.parameterCount !== request.params.length) {
    throw new MiniodbError(
      'invalid_argument',
      `the query has ${gated.parameterCount} parameters; ${request.params.length} values were given`,
      { code: 'sql_parameter_count' },
    );
  }
  for (const table of tables) await context.tables.forQuery(table);
  const query = { sql: request.sql, paramsJson: JSON.stringify(request.params), position: '' };
  const vouched = {
    user: call.principal.user,
    requestId: call.requestId,
    queryHash: queryHashOf(query),
  };
  const queriers = context.queriers.order(tables);
  for (const [at, querier] of queriers.entries()) {
    try {
      const output = await vouching(
        context.secret,
        vouched,
        () => context.clock.nowMs(),
        (voucher) => execute(context.queriers.client(querier), query, voucher, call, started),
      );
      context.metrics.queried(tables, (performance.now() - started) / 1_000);
      return output;
    } catch (error) {
      // Nothing has been passed on yet, so the next one may answer instead.
      if (at === queriers.length - 1 || !isWorthAnotherQuerier(error)) throw error;
    }
  }
  throw new MiniodbError('unavailable', 'there is no querier', { code: 'no_querier', retryAfterMs: 1_000 });
}

async function execute(
  client: QuerierClient,
  { sql, paramsJson, position }: VouchedQuery,
  voucher: string,
  call: CallContext,
  started: number,
): Promise<QueryOutput> {
  const stream = client.execute(
    { sql, params_json: paramsJson, position },
    {
      signal: call.signal,
      deadlineMs: QUERY_DEADLINE_MS,
      metadata: { [VOUCHER_METADATA_KEY]: voucher },
    },
  );
  let columns: QueryOutput['columns'] = [];
  let trailer: ExecuteTrailer | undefined;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const { part } of stream) {
    switch (part?.$case) {
      case 'header':
        columns = part.value.columns;
        break;
      case 'chunk':
        bytes += part.value.length;
        if (bytes > RESULT_BYTES_MAX) throw resultTooLarge();
        chunks.push(part.value);
        break;
      case 'trailer':
        trailer = part.value;
        break;
      default:
        break;
    }
  }
  if (trailer === undefined) {
    throw new MiniodbError('unavailable', 'the querier ended its answer early', { code: 'answer_cut' });
  }
  return {
    resultJson: Buffer.concat(chunks).toString('utf8'),
    columns,
    rowCount: Number(trailer.row_count),
    elapsedMs: Math.round((performance.now() - started) * 1_000) / 1_000,
    stats: {
      filesRead: Number(trailer.files_read),
      bytesRead: Number(trailer.bytes_read),
      pendingRows: Number(trailer.pending_rows),
    },
  };
}

function resultTooLarge(): MiniodbError {
  return new MiniodbError(
    'invalid_argument',
    `the result is larger than ${RESULT_BYTES_MAX} bytes; select less or aggregate`,
    { code: 'result_too_large' },
  );
}
