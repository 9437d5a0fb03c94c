import { requireWriteSomewhere } from '@miniodb/core/auth/principal.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { isRawNumber } from '@miniodb/core/table/exact-json.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import type { BatchInput, CallContext, GatewayApi } from '../api.ts';
import { type ByteBudget, LINES_FACTOR, OBJECTS_FACTOR } from '../write/budget.ts';
import { envelope } from '../write/parse-rows.ts';
import { ackFromText } from './ack.ts';
import { healthResponse } from './health.ts';
import { addBackupRoutes } from './rest-backup.ts';
import { bodyBytes, bodyObject, bodyObjectWithText, checkKnown, invalid, stringField } from './rest-body.ts';
import { underBudget, type WriteHandler } from './rest-budget.ts';
import { callerOf, leaveBodyUnread } from './rest-caller.ts';
import { addTableRoutes, type RouteTools } from './rest-tables.ts';

export interface RouteLimits {
  readonly rowsBytesMax: number;
  readonly textBytesMax: number;
  readonly jsonBytesMax: number;
  readonly callTimeoutMs: number;
}

const JSON_TYPES = ['application/json'];
const NDJSON_TYPES = ['application/x-ndjson', 'application/ndjson', 'application/jsonl'];
/** What says nothing about the body: its first byte does. */
const OPAQUE_TYPES = ['application/octet-stream', 'text/plain'];

/** All routes of the data API. Bodies and answers are the messages of olap.v1 in snake_case. */
export function addRoutes(
  app: FastifyInstance,
  api: GatewayApi,
  budget: ByteBudget,
  limits: RouteLimits,
): void {
  const call = <T>(request: FastifyRequest, reply: FastifyReply, work: (call: CallContext) => Promise<T>) =>
    withContext(request, reply, limits.callTimeoutMs, work);
  const object = (request: FastifyRequest) => bodyObject(request, limits.jsonBytesMax);

  postWrite(app, budget, '/v1/data', JSON_TYPES, limits.jsonBytesMax, async (request, reply, share) => {
    checkKnown(request.query as object, [], 'parameter');
    const { body, text } = await bodyObjectWithText(request, limits.jsonBytesMax, share);
    const { table, row } = rowOf(body, text);
    await call(request, reply, (context) => api.writeRow(table, row, context));
    return { success: true, message: '' };
  });

  const rowTypes = [...JSON_TYPES, ...NDJSON_TYPES, ...OPAQUE_TYPES];
  const rowsUrl = '/v1/tables/:name/rows';
  postWrite(app, budget, rowsUrl, rowTypes, limits.rowsBytesMax, async (request, reply, share) => {
    const bytes = await bodyBytes(request, limits.textBytesMax, share);
    const input = batchOf(request, bytes);
    if (input.rows.form === 'json_array') share.take(bytes.length * (OBJECTS_FACTOR - LINES_FACTOR));
    const receipt = await call(request, reply, (context) => api.writeBatch(input, context));
    const { accepted, rejected, errors, duplicate, position, ack, batchId } = receipt;
    return { accepted, rejected, errors, duplicate, position, ack, batch_id: batchId };
  });

  const tools: RouteTools = {
    call,
    object,
    checkJson: (request) => checkContentType(request, JSON_TYPES),
    refuseOtherMethods: (url, allowed) => refuseOtherMethods(app, url, allowed),
  };
  addTableRoutes(app, api, tools);
  addBackupRoutes(app, api, tools);

  post(app, '/v1/query', JSON_TYPES, limits.jsonBytesMax, async (request, reply) => {
    checkKnown(request.query as object, [], 'parameter');
    const body = await object(request);
    checkKnown(body, ['sql', 'params'], 'field');
    const query = { sql: stringField(body, 'sql'), params: paramsOf(body) };
    const output = await call(request, reply, (context) => api.query(query, context));
    return {
      result_json: output.resultJson,
      columns: output.columns,
      row_count: output.rowCount,
      elapsed_ms: output.elapsedMs,
      files_read: output.stats.filesRead,
      bytes_read: output.stats.bytesRead,
      pending_rows: output.stats.pendingRows,
    };
  });

  app.get('/v1/health', async (request, reply) => {
    const report = await call(request, reply, (context) => api.health(context));
    // Load balancers look at the status only.
    reply.code(report.healthy ? 200 : 503);
    return healthResponse(report, new Date());
  });
  refuseOtherMethods(app, '/v1/health', ['GET', 'HEAD']);
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>;

function post(
  app: FastifyInstance,
  url: string,
  types: readonly string[],
  bodyLimit: number,
  handler: Handler,
): void {
  app.route({
    method: 'POST',
    url,
    bodyLimit,
    // Before the body is read: nobody should send 64 MiB to hear that.
    onRequest: async (request) => checkContentType(request, types),
    handler,
  });
  refuseOtherMethods(app, url, ['POST']);
}

function postWrite(
  app: FastifyInstance,
  budget: ByteBudget,
  url: string,
  types: readonly string[],
  bodyLimit: number,
  write: WriteHandler,
): void {
  const { admit, preParsing, handler } = underBudget(budget, bodyLimit, write);
  app.route({
    method: 'POST',
    url,
    bodyLimit,
    onRequest: async (request, reply) => {
      checkContentType(request, types);
      requireWriter(request, reply);
      admit(request, reply);
    },
    preParsing,
    handler,
  });
  refuseOtherMethods(app, url, ['POST']);
}

/** Before a byte of the body is read and counted: for whom writes nothing, it would only keep others from writing. */
function requireWriter(request: FastifyRequest, reply: FastifyReply): void {
  try {
    requireWriteSomewhere(callerOf(request));
  } catch (error) {
    leaveBodyUnread(request, reply);
    throw error;
  }
}

function checkContentType(request: FastifyRequest, types: readonly string[]): void {
  const type = contentType(request);
  if (type === '' || types.includes(type)) return;
  const message = `Content-Type ${JSON.stringify(type)} is not taken here: send ${types.join(', ')}`;
  throw invalid('unsupported_media_type', message);
}

/** Without its parameters, in lower case; empty when there is none. */
function contentType(request: FastifyRequest): string {
  return (request.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
}

const METHODS: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

function refuseOtherMethods(app: FastifyInstance, url: string, allowed: readonly HTTPMethods[]): void {
  app.route({
    method: METHODS.filter((method) => !allowed.includes(method)),
    url,
    exposeHeadRoute: false,
    onRequest: async (request, reply) => {
      reply.header('allow', allowed.join(', '));
      throw invalid('method_not_allowed', `${request.method} ${url}: only ${allowed.join(' and ')}`);
    },
    handler: async () => undefined,
  });
}

async function withContext<T>(
  request: FastifyRequest,
  reply: FastifyReply,
  timeoutMs: number,
  work: (call: CallContext) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const onClose = () => {
    abort.abort(new MiniodbError('cancelled', 'the caller went away', { code: 'cancelled' }));
  };
  const onTimeout = () => {
    abort.abort(
      new MiniodbError('deadline_exceeded', `no answer in ${timeoutMs} ms`, { code: 'deadline_exceeded' }),
    );
  };
  reply.raw.once('close', onClose);
  const timer = setTimeout(onTimeout, timeoutMs);
  try {
    if (reply.raw.destroyed) onClose();
    return await work({
      principal: callerOf(request),
      requestId: request.id,
      signal: abort.signal,
      deadlineMs: Date.now() + timeoutMs,
      bodyBytes: Buffer.isBuffer(request.body) ? request.body.length : 0,
    });
  } finally {
    clearTimeout(timer);
    reply.raw.off('close', onClose);
  }
}

/** @param text of the body, for tables that keep payloads as they were sent */
function rowOf(body: Record<string, unknown>, text: string) {
  checkKnown(body, ['table', 'id', 'timestamp', 'payload'], 'field');
  const { id, timestamp, payload } = body;
  const parsed = envelope(0, { id, timestamp, payload }, text);
  if (parsed.error !== undefined) throw parsed.error;
  return { table: stringField(body, 'table', ''), row: parsed.row };
}

function batchOf(request: FastifyRequest, bytes: Buffer): BatchInput {
  const parameters = request.query as Record<string, unknown>;
  checkKnown(parameters, ['ack', 'skip_invalid'], 'parameter');
  const { name } = request.params as { name: string };
  return {
    table: name,
    rows: { form: formOf(contentType(request), bytes), bytes },
    ack: ackFromText(stringField(parameters, 'ack', 'default')),
    batchId: stringField(request.headers, 'idempotency-key', ''),
    skipInvalid: flag(stringField(parameters, 'skip_invalid', 'false')),
  };
}

function flag(text: string): boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  throw invalid('invalid_field', 'skip_invalid must be true or false');
}

const FIRST_OF_ARRAY = 0x5b;
const WHITESPACE: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);

function formOf(type: string, bytes: Buffer): 'ndjson' | 'json_array' {
  if (NDJSON_TYPES.includes(type)) return 'ndjson';
  if (JSON_TYPES.includes(type)) return 'json_array';
  const first = bytes.find((byte) => !WHITESPACE.has(byte));
  return first === FIRST_OF_ARRAY ? 'json_array' : 'ndjson';
}

function paramsOf(body: Record<string, unknown>): readonly unknown[] {
  const params = body.params ?? [];
  if (!Array.isArray(params)) throw invalid('invalid_field', 'params must be an array');
  const bad = params.findIndex((value) => typeof value === 'object' && value !== null && !isRawNumber(value));
  if (bad !== -1)
    throw invalid('invalid_field', `params[${bad}] must be a string, a number, true, false or null`);
  return params;
}
