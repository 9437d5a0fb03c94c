import { MiniodbError } from '@miniodb/core/runtime/errors.ts';

const QUERY_MS_MAX = 60_000;

export interface QueryAnswer {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly columns: readonly string[];
  readonly elapsedMs: number;
  readonly filesRead: number;
  readonly pendingRows: number;
}

interface QueryBody {
  readonly result_json: string;
  readonly columns: readonly { readonly name: string }[];
  readonly elapsed_ms: number;
  readonly files_read: number;
  readonly pending_rows: number;
}

/**
 * One SELECT through POST /v1/query. Throws MiniodbError: `unavailable`/`gateway_unreachable`, or
 * `failed_precondition` with the code and message that the gateway answered.
 *
 * @param url of the REST server, without a path
 */
export async function queryRest(url: string, sql: string, signal?: AbortSignal): Promise<QueryAnswer> {
  const timeout = AbortSignal.timeout(QUERY_MS_MAX);
  let response: Response;
  try {
    response = await fetch(`${url}/v1/query`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sql }),
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    });
  } catch (error) {
    throw new MiniodbError('unavailable', `no answer from ${url}: ${(error as Error).message}`, {
      code: 'gateway_unreachable',
      cause: error,
    });
  }
  const text = await response.text();
  if (!response.ok) throw refusal(response.status, text);
  const body = JSON.parse(text) as QueryBody;
  return {
    rows: JSON.parse(body.result_json) as QueryAnswer['rows'],
    columns: body.columns.map(({ name }) => name),
    elapsedMs: body.elapsed_ms,
    filesRead: body.files_read,
    pendingRows: body.pending_rows,
  };
}

function refusal(status: number, text: string): MiniodbError {
  let problem: { code?: unknown; message?: unknown } = {};
  try {
    problem = JSON.parse(text) as typeof problem;
  } catch {
    // Whatever stands between us and the gateway answered; its words are shown as they are.
  }
  const code = typeof problem.code === 'string' ? problem.code : 'query_refused';
  const message = typeof problem.message === 'string' ? problem.message : text.slice(0, 500);
  return new MiniodbError('failed_precondition', `the query was refused (${status} ${code}): ${message}`, {
    code,
  });
}
