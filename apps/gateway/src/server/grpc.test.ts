import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { openOlapClient } from '@miniodb/proto/client.ts';
import { Struct } from '@miniodb/proto/gen/google/protobuf/struct.ts';
import { LegacyWriteRequestView } from '@miniodb/proto/gen/miniodb/internal/v1/write_view.ts';
import {
  Ack,
  Compression,
  CreateTableRequest,
  OlapServiceService,
  WriteBatchRequest,
  WriteRequest,
} from '@miniodb/proto/gen/olap/v1/olap.ts';
import { ByteBudget, LINES_FACTOR } from '../write/budget.ts';
import { EVERYBODY } from './authenticate.ts';
import { openGatewayGrpc } from './grpc.ts';
import { RecordingApi } from './recording-api.ts';

const opened: { close(graceMs: number): Promise<void> | void }[] = [];
after(async () => {
  for (const resource of opened.reverse()) await resource.close(0);
});

async function serve(budget = new ByteBudget(Number.MAX_SAFE_INTEGER)) {
  const api = new RecordingApi();
  const server = await openGatewayGrpc(api, budget, silentLog(), {
    host: '127.0.0.1',
    port: 0,
    authentication: EVERYBODY,
    textBytesMax: 1_000_000,
  });
  const client = openOlapClient(server.address);
  opened.push(server, client);
  return { api, server, client };
}

async function failure(work: Promise<unknown>): Promise<MiniodbError> {
  const error = await work.then(
    () => assert.fail('it should have failed'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof MiniodbError, String(error));
  return error;
}

const STAMP = { seconds: 1_700_000_000n, nanos: 123_456_789 };

/** Sends bytes as they are: the client's encoder is put aside while the request is made. */
function rawWrite(client: ReturnType<typeof openOlapClient>, bytes: Uint8Array) {
  const method = OlapServiceService.write as { requestSerialize: (request: WriteRequest) => Buffer };
  const encode = method.requestSerialize;
  method.requestSerialize = () => Buffer.from(bytes);
  try {
    return client.write(WriteRequest.create({}));
  } finally {
    method.requestSerialize = encode;
  }
}

describe('Write', () => {
  test('hands the row on with its exact timestamp and payload', async () => {
    const { api, client } = await serve();
    const payload = { a: 1.5, nested: { list: [null, 'x', false] } };
    const response = await client.write({ table: 't', id: 'i', timestamp: STAMP, payload });
    assert.deepEqual(response, { success: true, message: '' });
    assert.equal(api.rows[0]!.table, 't');
    assert.deepEqual(api.rows[0]!.row, { id: 'i', timestamp: STAMP, payload });
    assert.equal(api.rows[0]!.call.principal.user, 'anonymous');
  });

  test('takes the form of clients from before tables as a row of the default table', async () => {
    const { api, client } = await serve();
    const payload = Struct.encode(Struct.wrap({ a: 1 })).finish();
    const bytes = LegacyWriteRequestView.encode({ id: 'old', timestamp: STAMP, payload }).finish();
    assert.equal((await rawWrite(client, bytes)).success, true);
    assert.equal(api.rows[0]!.table, '');
    assert.deepEqual(api.rows[0]!.row, { id: 'old', timestamp: STAMP, payload: { a: 1 } });
  });

  test('refuses what is neither form, and what is no message', async () => {
    const { api, client } = await serve();
    const emptyLegacy = LegacyWriteRequestView.encode({
      id: 'i',
      timestamp: STAMP,
      payload: Buffer.alloc(0),
    }).finish();
    // Read as a request of today, the bytes of that Timestamp are an id, and not UTF-8.
    assert.equal((await failure(rawWrite(client, emptyLegacy))).kind, 'invalid_argument');
    const bare = WriteRequest.encode(WriteRequest.create({ table: 't', id: 'i' })).finish();
    assert.equal((await failure(rawWrite(client, bare))).code, 'invalid_payload');
    assert.equal((await failure(rawWrite(client, Buffer.from([0x0a, 0x7f])))).code, 'malformed_message');
    const badId = Buffer.concat([Buffer.from([0x12, 1, 0xff]), Buffer.from([0x22, 0])]);
    assert.equal((await failure(rawWrite(client, badId))).code, 'invalid_utf8');
    assert.equal(api.rows.length, 0);
  });

  test('refuses numbers that are none', async () => {
    const { client } = await serve();
    const error = await failure(client.write(WriteRequest.create({ id: 'i', payload: { x: Number.NaN } })));
    assert.deepEqual([error.kind, error.code], ['invalid_argument', 'number_not_finite']);
  });

  for (const [code, message] of [
    ['invalid_table_name', 'invalid table name: a b'],
    ['table_not_found', 'table t does not exist'],
    ['table_already_exists', 'table t already exists'],
    ['table_create_failed', 'failed to create table: too many tables'],
  ] as const) {
    test(`answers ${code} OK with success=false and its message, as CreateTable does`, async () => {
      const { api, client } = await serve();
      api.failure = new MiniodbError('invalid_argument', message, { code });
      const refused = { success: false, message };
      assert.deepEqual(await client.write(WriteRequest.create({ id: 'i', payload: { a: 1 } })), refused);
      assert.deepEqual(await client.createTable(CreateTableRequest.create({ table_name: 't' })), refused);
    });
  }

  test('fails with a status, a reason and a delay when it is refused for anything else', async () => {
    const { api, client } = await serve();
    api.failure = new MiniodbError('resource_exhausted', 'queue is full', {
      code: 'queue_full',
      retryAfterMs: 1500,
    });
    const error = await failure(client.write(WriteRequest.create({ id: 'i', payload: { a: 1 } })));
    assert.deepEqual(
      [error.kind, error.code, error.retryAfterMs],
      ['resource_exhausted', 'queue_full', 1500],
    );
  });

  test('says that an outcome is unknown when it is', async () => {
    const { api, client } = await serve();
    api.failure = new MiniodbError('outcome_unknown', 'redis did not answer', { code: 'outcome_unknown' });
    assert.equal(
      (await failure(client.write(WriteRequest.create({ id: 'i', payload: {} })))).kind,
      'outcome_unknown',
    );
  });

  test('tells nothing of an unforeseen error but a request id', async () => {
    const { api, client } = await serve();
    api.failure = new Error('connect ECONNREFUSED /var/run/secret.sock');
    const write = client.write(WriteRequest.create({ id: 'i', payload: {} }), {
      metadata: { 'x-request-id': 'req-7' },
    });
    const error = await failure(write);
    assert.deepEqual([error.kind, error.message], ['internal', 'internal error; request req-7']);
  });
});

describe('WriteBatch', () => {
  const good = { id: 'a', timestamp: undefined, payload: { n: 1 }, payload_json: Buffer.alloc(0) };

  test('takes rows with either form of payload, and keeps large integers of payload_json', async () => {
    const { api, client } = await serve();
    const json = {
      id: 'b',
      timestamp: STAMP,
      payload: undefined,
      payload_json: Buffer.from('{"n":9007199254740993}'),
    };
    const request = WriteBatchRequest.create({
      table: 't',
      rows: [good, json],
      ack: Ack.QUEUED,
      batch_id: 'k',
    });
    const response = await client.writeBatch(request);
    assert.deepEqual(
      [response.accepted, response.rejected, response.ack, response.position, response.batch_id],
      [2n, 1n, Ack.DURABLE, 'p2', 'k'],
    );
    const { rows, ...rest } = api.batches[0]!;
    assert.deepEqual(rest, { table: 't', ack: 'queued', batchId: 'k', skipInvalid: false });
    assert.equal(
      JSON.stringify(rows.form === 'rows' && rows.rows.map((row) => row.payload)),
      '[{"n":1},{"n":9007199254740993}]',
    );
  });

  test('decompresses NDJSON, up to a limit', async () => {
    const { api, client } = await serve();
    const text = '{"id":"a","payload":{}}\n'.repeat(3);
    for (const [compression, ndjson] of [
      [Compression.NONE, Buffer.from(text)],
      [Compression.GZIP, gzipSync(text)],
      [
        Compression.ZSTD,
        Buffer.concat([zstdCompressSync(text.slice(0, 10)), zstdCompressSync(text.slice(10))]),
      ],
    ] as const) {
      await client.writeBatch(WriteBatchRequest.create({ ndjson, compression }));
      const { rows } = api.batches.at(-1)!;
      assert.equal(rows.form === 'ndjson' && Buffer.from(rows.bytes).toString(), text);
    }
    const bomb = WriteBatchRequest.create({
      ndjson: gzipSync(Buffer.alloc(1_000_001)),
      compression: Compression.GZIP,
    });
    assert.equal((await failure(client.writeBatch(bomb))).code, 'body_too_large');
  });

  test('refuses arrow, two forms at once, and what it does not know, each by a code', async () => {
    const { client } = await serve();
    const code = async (part: Parameters<typeof WriteBatchRequest.create>[0]) =>
      (await failure(client.writeBatch(WriteBatchRequest.create(part)))).code;
    assert.equal(await code({ arrow_ipc: Buffer.from('x') }), 'arrow_ipc_not_supported');
    assert.equal(await code({ rows: [good], ndjson: Buffer.from('x') }), 'ambiguous_rows');
    assert.equal(await code({ rows: [good], compression: Compression.GZIP }), 'compression_without_ndjson');
    assert.equal(
      await code({ ndjson: Buffer.from('x'), compression: 9 as Compression }),
      'unknown_compression',
    );
    assert.equal(await code({ rows: [good], ack: 9 as Ack }), 'unknown_ack');
    assert.equal(await code({ rows: [{ ...good, payload_json: Buffer.from('{}') }] }), 'invalid_rows');
  });

  test('names the rows it cannot read, and with skip_invalid stores the others under their own indexes', async () => {
    const { api, client } = await serve();
    const bad = { ...good, payload: { n: Number.POSITIVE_INFINITY } };
    const rows = [bad, good, { ...good, payload: undefined, payload_json: Buffer.from('{') }, good];
    const error = await failure(client.writeBatch(WriteBatchRequest.create({ rows })));
    assert.equal(error.code, 'invalid_rows');
    const named = error.details!.errors as { index: number; code: string }[];
    assert.deepEqual(
      named.map(({ index, code }) => [index, code]),
      [
        [0, 'number_not_finite'],
        [2, 'invalid_json'],
      ],
    );
    assert.equal(api.batches.length, 0);
    // The api says that the first row it was given is bad: that is row 1 of the request.
    const response = await client.writeBatch(WriteBatchRequest.create({ rows, skip_invalid: true }));
    assert.deepEqual(
      response.errors.map(({ index, code }) => [index, code]),
      [
        [0n, 'number_not_finite'],
        [1n, 'invalid_id'],
        [2n, 'invalid_json'],
      ],
    );
    assert.equal(response.rejected, 3n);
  });
});

test('Query answers the rows as JSON text', async () => {
  const { api, client } = await serve();
  assert.equal((await client.query({ sql: 'SELECT 1' })).result_json, '[{"n":1}]');
  assert.deepEqual(api.queries[0]!.query, { sql: 'SELECT 1', params: [] });
});

test('CreateTable hands on exactly the settings that were sent', async () => {
  const { api, client } = await serve();
  const config = {
    buffer_size: 0,
    max_flush_rows: 2n ** 40n,
    backup_enabled: false,
    properties: { owner: 'x' },
  };
  await client.createTable(CreateTableRequest.create({ table_name: 'order', config, if_not_exists: true }));
  const expected = { ...config, max_flush_rows: 2 ** 40 };
  assert.deepEqual(api.tables, [{ table: 'order', config: expected, ifNotExists: true }]);
  const huge = CreateTableRequest.create({ table_name: 't', config: { max_flush_rows: 2n ** 60n } });
  assert.equal((await failure(client.createTable(huge))).code, 'invalid_config');
});

test('HealthCheck reports what the gateway found', async () => {
  const { api, client } = await serve();
  const report = await client.healthCheck({});
  assert.deepEqual([report.status, report.version, report.details], ['healthy', '1.2.3', { redis: 'ok' }]);
  assert.match(report.timestamp, /^\d{4}-.*Z$/);
  api.healthy = false;
  assert.equal((await client.healthCheck({})).status, 'unhealthy');
});

test('methods that are not there yet say so', async () => {
  const { client } = await serve();
  const stream = client.queryStream({ sql: 'x', format: 0, params: [], position: '' });
  assert.equal((await failure(stream[Symbol.asyncIterator]().next())).code, 'unimplemented');
});

test('TriggerBackup and RecoverData pass on what is wanted, and tell of the task', async () => {
  const { api, client } = await serve();
  const made = await client.triggerBackup({ id: 'i', day: '2026-01-01', table: 't' });
  assert.deepEqual(api.backups, [{ table: 't', wanted: { id: 'i', day: '2026-01-01', waits: true } }]);
  assert.deepEqual([made.success, made.files_backed_up], [true, 3]);
  assert.match(made.message, /^backup-20260101-000000-abcdef: 5 rows/);
  const recovered = await client.recoverData({ recovery_mode: undefined, force_overwrite: true, table: 't' });
  assert.equal(api.restores[0]!.wanted.mode, 'replace');
  assert.deepEqual([recovered.success, recovered.recovered_keys], [true, ['t/a']]);
  const ofNode = {
    recovery_mode: { $case: 'node_id', value: 'n' },
    force_overwrite: false,
    table: 't',
  } as const;
  const refused = await failure(client.recoverData(ofNode));
  assert.deepEqual([refused.kind, refused.code], ['failed_precondition', 'node_recovery_unsupported']);
});

test('a call that the client gives up fires the signal of its context', async () => {
  const { api, client } = await serve();
  const arrived = Promise.withResolvers<AbortSignal>();
  api.gate = (call) => {
    arrived.resolve(call.signal);
    return new Promise(() => {});
  };
  const abort = new AbortController();
  const failed = failure(client.query({ sql: 'x' }, { signal: abort.signal }));
  const signal = await arrived.promise;
  const fired = new Promise((resolve) => signal.addEventListener('abort', resolve));
  abort.abort();
  await fired;
  assert.equal((await failed).kind, 'cancelled');
});

test('request ids are taken when they are sane and made up when not', async () => {
  const { api, client } = await serve();
  await client.query({ sql: 'x' }, { metadata: { 'x-request-id': 'abc-1' } });
  await client.query({ sql: 'x' }, { metadata: { 'x-request-id': 'a b"c' } });
  const [taken, made] = api.queries.map(({ call }) => call.requestId);
  assert.equal(taken, 'abc-1');
  assert.match(made!, /^[0-9a-f-]{36}$/);
});

describe('the budget', () => {
  test('refuses the surplus of writes with RESOURCE_EXHAUSTED and is whole again afterwards', async () => {
    const text = Buffer.from('{"id":"a","payload":{}}\n'.repeat(1_000));
    const request = WriteBatchRequest.create({ ndjson: gzipSync(text), compression: Compression.GZIP });
    const cost = WriteBatchRequest.encode(request).finish().length + text.length * LINES_FACTOR;
    const budget = new ByteBudget(cost);
    const { api, client } = await serve(budget);
    const release = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    api.gate = () => {
      arrived.resolve();
      return release.promise;
    };
    const held = client.writeBatch(request);
    await arrived.promise;
    assert.equal(budget.taken, cost);
    const row = { table: 't', id: 'i', timestamp: STAMP, payload: { a: 1 } };
    for (const write of [() => client.writeBatch(request), () => client.write(row)]) {
      const { kind, code, retryAfterMs } = await failure(write());
      assert.deepEqual([kind, code, retryAfterMs], ['resource_exhausted', 'too_much_in_flight', 500]);
    }
    release.resolve();
    await held;
    await failure(client.writeBatch({ ...request, compression: Compression.ZSTD }));
    assert.equal(budget.taken, 0);
  });
});
