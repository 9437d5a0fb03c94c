import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { assertProblem, serve } from './rest-fixture.ts';
import { changeOf } from './table-config.ts';

describe('an update of a table', () => {
  const config = { buffer_size: 5, properties: { a: '1' } };

  test('without a mask writes what is there', () => {
    assert.deepEqual(changeOf({ ...config, layout: undefined }, undefined, ''), { config });
    assert.deepEqual(changeOf(config, [], 'archived'), { config, status: 'archived' });
  });

  test('with a mask writes what it names, and puts back what it names and is not there', () => {
    const { config: changed } = changeOf(config, ['config.properties', 'retention_days'], '');
    assert.deepEqual(changed, { properties: { a: '1' }, retention_days: null });
  });

  test('refuses paths and states that there are not', () => {
    for (const path of ['colour', 'config', 'config.config.shards', 'properties.a', '']) {
      assert.throws(() => changeOf(config, [path], ''), { code: 'invalid_update_mask' });
    }
    assert.throws(() => changeOf(config, undefined, 'deleting'), { code: 'invalid_status' });
  });
});

describe('the routes of tables', () => {
  test('hand on what was asked for', async () => {
    const { api, send, post } = await serve();
    await send('/v1/tables/Orders?if_exists=true&cascade=false', { method: 'DELETE' });
    assert.deepEqual(api.drops, [{ table: 'Orders', ifExists: true, cascade: false }]);
    await send('/v1/tables?pattern=a*', { method: 'GET' });
    await send('/v1/tables', { method: 'GET' });
    assert.deepEqual(api.patterns, ['a*', '']);
    const body = { config: { buffer_size: 5, layout: null }, status: 'active' };
    await post('/v1/tables/t', body).then((answer) => assertProblem(answer, 405, 'method_not_allowed'));
    const headers = { 'content-type': 'application/json' };
    await send('/v1/tables/t', { method: 'PATCH', body: JSON.stringify(body), headers });
    assert.deepEqual(api.changes, [{ table: 't', change: body }]);
  });

  test('answer every field, with numbers for int64', async () => {
    const { send } = await serve();
    const { body } = await send('/v1/tables/t', { method: 'GET' });
    assert.deepEqual(Object.keys(body.table_info), [
      'name',
      'config',
      'created_at',
      'last_write',
      'status',
      'inherited',
    ]);
    assert.equal(body.table_info.config.max_flush_rows, 2 ** 40);
    assert.equal(body.stats.record_count, 2 ** 40);
    assert.deepEqual(body.columns, [{ name: 'n', type: 'BIGINT' }]);
    const nodes = await send('/v1/nodes', { method: 'GET' });
    assert.deepEqual(nodes.body.nodes, [
      { id: 'gateway-1', status: 'live', type: 'gateway', address: '127.0.0.1:1', last_seen: 7 },
    ]);
    const { body: stats } = await send('/v1/stats', { method: 'GET' });
    assert.deepEqual(
      [stats.buffer_stats, stats.redis_stats, stats.minio_stats],
      [{ pending_rows: 4 }, { keys: 5 }, { files: 6 }],
    );
  });

  test('refuse what is misspelt or of another type', async () => {
    const { api, send } = await serve();
    const headers = { 'content-type': 'application/json' };
    const patch = (body: string) => send('/v1/tables/t', { method: 'PATCH', body, headers });
    assertProblem(await patch('{"config":{"buffer_size":"5"}}'), 400, 'invalid_config');
    assertProblem(await patch('{"update_mask":7}'), 400, 'invalid_field');
    assertProblem(await patch('{"settings":{}}'), 400, 'unknown_field');
    assertProblem(await send('/v1/tables/t?cascade=1', { method: 'DELETE' }), 400, 'invalid_field');
    assertProblem(await send('/v1/tables?glob=a', { method: 'GET' }), 400, 'unknown_field');
    assert.deepEqual([api.changes, api.drops, api.patterns], [[], [], []]);
  });

  test('answer refusals with their status', async () => {
    const { api, send } = await serve();
    api.failure = new MiniodbError('failed_precondition', 'table t is not empty', {
      code: 'table_not_empty',
    });
    assertProblem(await send('/v1/tables/t', { method: 'DELETE' }), 409, 'table_not_empty');
  });
});
