import { VOUCHER_METADATA_KEY } from '@miniodb/core/auth/voucher.ts';
import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import { SQL_BYTES_MAX } from '@miniodb/core/sql/gate.ts';
import type { Admit } from '@miniodb/proto/admission.ts';
import {
  type ExecuteRequest,
  type ExecuteResponse,
  QuerierServiceService,
} from '@miniodb/proto/gen/miniodb/internal/v1/querier.ts';
import { OpenCalls } from '@miniodb/proto/open-calls.ts';
import { type GrpcServer, openGrpcServer } from '@miniodb/proto/server.ts';
import { implementService, type ServerCall } from '@miniodb/proto/service.ts';
import { type Caller, type CallerCheck, requireVouched } from './query/authorize.ts';
import { parseParameters } from './query/parse-parameters.ts';
import type { QueryPipeline } from './query/pipeline.ts';

/** As REST takes bodies, and room for escapes and field tags. */
const PARAMS_BYTES_MAX = 17 * 1_048_576;
const MESSAGE_TIMEOUT_MS = 60_000;
/** Gateways have one each. */
const CONNECTIONS_MAX = 1_024;

/** The queriers' gRPC service, for gateways. Nothing of a query is read for whom no gateway vouches. */
export function startQueryServer(
  host: string,
  port: number,
  callers: Pick<CallerCheck, 'callerOf'>,
  pipeline: QueryPipeline,
  log: Log,
): Promise<GrpcServer> {
  const present = (thrown: unknown) => {
    const error = asMiniodbError(thrown);
    if (error.kind === 'internal' || error.kind === 'data_corrupted')
      log.error({ event: 'query_failed', err: error });
    else log.debug({ event: 'query_refused', code: error.code });
    return error;
  };
  const service = implementService(
    QuerierServiceService,
    { execute: (request: ExecuteRequest, call: ServerCall) => execute(pipeline, request, call) },
    present,
  );
  const admit = admitVouched(callers, present);
  return openGrpcServer({ host, port, services: [service], admit, connectionsMax: CONNECTIONS_MAX });
}

function admitVouched(callers: Pick<CallerCheck, 'callerOf'>, present: (thrown: unknown) => unknown): Admit {
  const open = new OpenCalls();
  const intake = {
    messageBytesMax: SQL_BYTES_MAX + PARAMS_BYTES_MAX,
    messageTimeoutMs: MESSAGE_TIMEOUT_MS,
    isPaced: true,
  };
  return async ({ path, peer, metadata }) => {
    if (path.startsWith('/grpc.health.v1.Health/'))
      return { admission: undefined, intake: open.intake(peer) };
    try {
      return { admission: await callers.callerOf(metadata(VOUCHER_METADATA_KEY) ?? ''), intake };
    } catch (error) {
      throw present(error);
    }
  };
}

async function* execute(
  pipeline: QueryPipeline,
  request: ExecuteRequest,
  call: ServerCall,
): AsyncGenerator<ExecuteResponse> {
  const started = performance.now();
  const { sql, position, params_json: paramsJson } = request;
  const caller = call.admission as Caller;
  requireVouched(caller, { sql, paramsJson, position });
  const params = parseParameters(paramsJson);
  const { principal } = caller;
  const running = await pipeline.run({ sql, params, position, principal }, call.signal);
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
