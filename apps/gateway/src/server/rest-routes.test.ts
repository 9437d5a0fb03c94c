import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { assertProblem, serve } from './rest-fixture.ts';

const ROW = { id: 'a', payload: { n: 1 } };

describe('POST /v1/data', () => {
  test('hands the row on, with the default table when none is named', async () => {
    const { api, post } = await serve();
    const timestamp = '2024-01-15T10:00:00.123456Z';
    const answer = await post('/v1/data', { table: 't', id: 'a', timestamp, payload: { n: 1 } });
    assert.deepEqual([answer.status, answer.body], [200, { success: true, message: '' }]);
    await post('/v1/data', ROW);
    assert.deepEqual(
      api.rows.map(({ table, row }) => [table, row.timestamp]),
      [
        ['t', timestamp],
        ['', undefined],
      ],
    );
  });

  test('keeps numbers beyond 2^53 exactly', async () => {
    const { api, post } = await serve();
    await post('/v1/data', '{"id":"a","payload":{"big":9007199254740993,"huge":1e400,"small":0.1}}');
    assert.equal(
      JSON.stringify(api.rows[0]!.row.payload),
      '{"big":9007199254740993,"huge":1e400,"small":0.1}',
    );
  });

  test('refuses bodies that are no row, saying what is wrong and where', async () => {
    const { api, post } = await serve();
    const bad = await post('/v1/data', '{"id":"a",}');
    assertProblem(bad, 400, 'invalid_json');
    assert.equal(bad.body.position, 10);
    const unknown = await post('/v1/data', { ...ROW, tabel: 't' });
    assertProblem(unknown, 400, 'unknown_field');
    assert.match(unknown.body.message, /"tabel"/);
    assertProblem(
      await post('/v1/data', '{"id":"a","payload":{},"__proto__":{"table":"x"}}'),
      400,
      'unknown_field',
    );
    assertProblem(await post('/v1/data', '[]'), 400, 'invalid_json');
    assertProblem(await post('/v1/data', '12345678901234567890'), 400, 'invalid_json');
    assertProblem(await post('/v1/data', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d])), 400, 'invalid_utf8');
    assertProblem(await post('/v1/data', ''), 400, 'invalid_json');
    assertProblem(await post('/v1/data', { ...ROW, timestamp: { a: 1 } }), 400, 'invalid_timestamp');
    assertProblem(await post('/v1/data', { ...ROW, table: 7 }), 400, 'invalid_field');
    assertProblem(await post('/v1/data?tabel=x', ROW), 400, 'unknown_field');
    assert.equal(api.rows.length, 0);
  });

  test('answers business refusals with their HTTP status and the message that gRPC has', async () => {
    const { api, post } = await serve();
    for (const [kind, code, status] of [
      ['invalid_argument', 'invalid_table_name', 400],
      ['not_found', 'table_not_found', 404],
      ['already_exists', 'table_already_exists', 409],
    ] as const) {
      api.failure = new MiniodbError(kind, `about ${code}`, { code });
      for (const answer of [await post('/v1/data', ROW), await post('/v1/tables', { table_name: 't' })]) {
        assertProblem(answer, status, code);
        assert.deepEqual([answer.body.message, answer.body.retryable], [`about ${code}`, false]);
      }
    }
  });

  test('says when to come back where coming back helps, and only there', async () => {
    const { api, post } = await serve();
    api.failure = new MiniodbError('resource_exhausted', 'full', { code: 'queue_full', retryAfterMs: 1200 });
    const full = await post('/v1/data', ROW);
    assertProblem(full, 429, 'queue_full');
    assert.deepEqual([full.headers.get('retry-after'), full.body.retryable], ['2', true]);
    api.failure = new MiniodbError('unavailable', 'redis is away', { code: 'redis_away' });
    assert.equal((await post('/v1/data', ROW)).headers.get('retry-after'), '1');
    api.failure = new MiniodbError('outcome_unknown', 'no answer', { code: 'outcome_unknown' });
    const unknown = await post('/v1/data', ROW);
    assertProblem(unknown, 503, 'outcome_unknown');
    assert.deepEqual([unknown.headers.get('retry-after'), unknown.body.retryable], [null, false]);
  });

  test('gives the details of an error as members, which take no other’s place', async () => {
    const { api, post } = await serve();
    const details = { errors: [{ index: 1 }], status: 200, success: true };
    api.failure = new MiniodbError('invalid_argument', 'bad rows', { code: 'invalid_rows', details });
    const answer = await post('/v1/data', ROW);
    assertProblem(answer, 400, 'invalid_rows');
    assert.deepEqual(answer.body.errors, [{ index: 1 }]);
  });

  test('tells nothing of an unforeseen error but a request id', async () => {
    const { api, post } = await serve();
    api.failure = new Error('secret /etc/path');
    const answer = await post('/v1/data', ROW, { 'x-request-id': 'req-9' });
    assertProblem(answer, 500, 'internal');
    assert.deepEqual(
      [answer.body.message, answer.headers.get('x-request-id')],
      ['internal error; request req-9', 'req-9'],
    );
  });
});

describe('POST /v1/tables/:name/rows', () => {
  const NDJSON = '{"id":"a","payload":{}}\n{"id":"b","payload":{}}\n';

  test('answers every field of WriteBatchResponse', async () => {
    const { api, post } = await serve();
    const answer = await post('/v1/tables/order/rows?ack=queued&skip_invalid=true', NDJSON, {
      'content-type': 'application/x-ndjson',
      'idempotency-key': 'key-1',
    });
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.body, {
      accepted: 2,
      rejected: 1,
      errors: [{ index: 0, code: 'invalid_id', message: 'id must not be empty' }],
      duplicate: false,
      position: 'p2',
      ack: 'durable',
      batch_id: 'key-1',
    });
    const { rows, ...rest } = api.batches[0]!;
    assert.deepEqual(rest, { table: 'order', ack: 'queued', batchId: 'key-1', skipInvalid: true });
    assert.equal(rows.form === 'ndjson' && Buffer.from(rows.bytes).toString(), NDJSON);
  });

  test('tells NDJSON and arrays apart by type, and by the first byte where the type says nothing', async () => {
    const { api, send } = await serve();
    const forms = async (body: string, type: string) => {
      // A Blob of no type, unlike a string, sends no Content-Type of its own.
      await send('/v1/tables/t/rows', {
        body: new Blob([body]),
        headers: type === '' ? {} : { 'content-type': type },
      });
      return api.batches.at(-1)!.rows.form;
    };
    assert.equal(await forms('[]', 'application/json; charset=utf-8'), 'json_array');
    assert.equal(await forms(NDJSON, 'application/jsonl'), 'ndjson');
    for (const type of ['', 'text/plain', 'application/octet-stream']) {
      assert.equal(await forms(' \n[]', type), 'json_array');
      assert.equal(await forms(NDJSON, type), 'ndjson');
    }
  });

  test('decompresses gzip and zstd, up to a limit', async () => {
    const { api, post } = await serve({ textBytesMax: 1000 });
    for (const [encoding, body] of [
      ['gzip', gzipSync(NDJSON)],
      ['zstd', Buffer.concat([zstdCompressSync(NDJSON), zstdCompressSync(NDJSON)])],
    ] as const) {
      await post('/v1/tables/t/rows', body, { 'content-encoding': encoding });
      const { rows } = api.batches.at(-1)!;
      const expected = encoding === 'gzip' ? NDJSON : NDJSON + NDJSON;
      assert.equal(rows.form !== 'rows' && Buffer.from(rows.bytes).toString(), expected);
    }
    const bomb = await post('/v1/tables/t/rows', gzipSync('a'.repeat(1001)), { 'content-encoding': 'gzip' });
    assertProblem(bomb, 413, 'body_too_large');
    assertProblem(
      await post('/v1/tables/t/rows', NDJSON, { 'content-encoding': 'br' }),
      415,
      'unsupported_encoding',
    );
    assertProblem(
      await post('/v1/tables/t/rows', NDJSON, { 'content-encoding': 'gzip' }),
      400,
      'invalid_compression',
    );
  });

  test('refuses parameters that it does not know, or twice', async () => {
    const { post } = await serve();
    assertProblem(await post('/v1/tables/t/rows?skip-invalid=true', '[]'), 400, 'unknown_field');
    assertProblem(await post('/v1/tables/t/rows?ack=fsync', '[]'), 400, 'unknown_ack');
    assertProblem(await post('/v1/tables/t/rows?skip_invalid=1', '[]'), 400, 'invalid_field');
    assertProblem(await post('/v1/tables/t/rows?ack=queued&ack=durable', '[]'), 400, 'invalid_field');
  });

  test('hands odd table names on as they are, and no path gets around them', async () => {
    const { api, post } = await serve();
    await post('/v1/tables/..%2f..%2fx/rows', '[]');
    await post(`/v1/tables/${'x'.repeat(300)}/rows`, '[]');
    assert.deepEqual(
      api.batches.map((batch) => batch.table),
      ['../../x', 'x'.repeat(300)],
    );
    assertProblem(await post('/v1/tables/%E0%A4%A/rows', '[]'), 400, 'bad_request');
  });
});

describe('POST /v1/tables', () => {
  test('hands on exactly the settings that were sent', async () => {
    const { api, post } = await serve();
    const config = {
      buffer_size: 2000,
      max_flush_rows: 2 ** 40,
      backup_enabled: false,
      properties: { owner: 'x' },
    };
    const answer = await post('/v1/tables', {
      table_name: 't',
      config: { ...config, layout: null },
      if_not_exists: true,
    });
    assert.deepEqual([answer.status, answer.body], [200, { success: true, message: '' }]);
    assert.deepEqual(api.tables, [{ table: 't', config, ifNotExists: true }]);
  });

  test('refuses settings that are unknown or of another type', async () => {
    const { api, post } = await serve();
    for (const config of [
      '{"flush_interval":"30s"}',
      '{"buffer_size":1.5}',
      '{"buffer_size":2147483648}',
      '{"max_flush_rows":9007199254740993}',
      '{"backup_enabled":"true"}',
      '{"layout":1}',
      '{"properties":{"a":1}}',
      '{"properties":{"__proto__":"a"}}',
      '{"__proto__":{"buffer_size":1}}',
      '[]',
    ]) {
      assertProblem(await post('/v1/tables', `{"table_name":"t","config":${config}}`), 400, 'invalid_config');
    }
    assertProblem(await post('/v1/tables', { config: {} }), 400, 'invalid_field');
    assertProblem(await post('/v1/tables', { table_name: 't', if_not_exists: 'yes' }), 400, 'invalid_field');
    assert.equal(api.tables.length, 0);
  });
});

describe('POST /v1/query', () => {
  test('answers the rows as JSON text, with columns and figures', async () => {
    const { api, post } = await serve();
    const answer = await post('/v1/query', '{"sql":"SELECT ?","params":[9007199254740993,"x",null,true]}');
    assert.deepEqual(answer.body, {
      result_json: '[{"n":1}]',
      columns: [{ name: 'n', type: 'BIGINT' }],
      row_count: 1,
      elapsed_ms: 2.5,
      files_read: 3,
      bytes_read: 4,
      pending_rows: 5,
    });
    assert.equal(api.queries[0]!.query.sql, 'SELECT ?');
    assert.equal(JSON.stringify(api.queries[0]!.query.params), '[9007199254740993,"x",null,true]');
  });

  test('refuses parameters that are no scalars', async () => {
    const { post } = await serve();
    const answer = await post('/v1/query', { sql: 'SELECT ?', params: [1, {}] });
    assertProblem(answer, 400, 'invalid_field');
    assert.match(answer.body.message, /params\[1\]/);
    assertProblem(await post('/v1/query', { params: [] }), 400, 'invalid_field');
  });
});

describe('GET /v1/health', () => {
  test('is 200 while healthy and 503 otherwise, with the same report', async () => {
    const { api, send } = await serve();
    const well = await send('/v1/health', { method: 'GET' });
    const { timestamp, ...report } = well.body;
    assert.deepEqual(
      [well.status, report],
      [200, { status: 'healthy', version: '1.2.3', details: { redis: 'ok' } }],
    );
    assert.match(timestamp, /Z$/);
    api.healthy = false;
    const ill = await send('/v1/health', { method: 'GET' });
    assert.deepEqual([ill.status, ill.body.status], [503, 'unhealthy']);
    assert.equal((await send('/v1/health', { method: 'HEAD' })).status, 503);
  });
});
