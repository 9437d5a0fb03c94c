import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import { parseExact } from '@miniodb/core/table/exact-json.ts';
import {
  type ExecuteRequest,
  type ExecuteResponse,
  QuerierServiceService,
} from '@miniodb/proto/gen/miniodb/internal/v1/querier.ts';
import { type GrpcServer, openGrpcServer } from '@miniodb/proto/server.ts';
import { implementService, type ServerCall } from '@miniodb/proto/service.ts';
import type { QueryPipeline } from './query/pipeline.ts';

/** The queriers' gRPC service, for gateways. */
export function startQueryServer(
  host: string,
  port: number,
  pipeline: QueryPipeline,
  log: Log,
): Promise<GrpcServer> {
  const service = implementService(
    QuerierServiceService,
    { execute: (request: ExecuteRequest, call: ServerCall) => execute(pipeline, request, call) },
    (thrown) => {
      const error = asMiniodbError(thrown);
      if (error.kind === 'internal' || error.kind === 'data_corrupted')
        log.error({ event: 'query_failed', err: error });
      else log.debug({ event: 'query_refused', code: error.code });
      return error;
    },
  );
  return openGrpcServer({ host, port, services: [service] });
}

async function* execute(
  pipeline: QueryPipeline,
  request: ExecuteRequest,
  call: ServerCall,
): AsyncGenerator<ExecuteResponse> {
  const started = performance.now();
  const { sql, position, principal: user, request_id: requestId, voucher } = request;
  const params = parseExact(request.params_json) as readonly unknown[];
  const running = await pipeline.run({ sql, params, position, user, requestId, voucher }, call.signal);
  try {
    yield { part: { $case: 'header', value: { columns: running.columns.map((column) => ({ ...column })) } } };
    for await (const text of running.chunks) yield { part: { $case: 'chunk', value: Buffer.from(text) } };
    const { rowCount, filesRead, bytesRead, pendingRows } = running.stats();
    yield {
      part: {
        $case: 'trailer',
        value: {
          row_count: BigInt(rowCount),
          elapsed_ms: performance.now() - started,
          files_read: BigInt(filesRead),
          bytes_read: BigInt(bytesRead),
          pending_rows: BigInt(pendingRows),
        },
      },
    };
  } finally {
    await running.close();
  }
}
