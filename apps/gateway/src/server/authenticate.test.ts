import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';
import { after, describe, test } from 'node:test';
import { Directory } from '@miniodb/core/auth/directory.ts';
import type { JwtCheck } from '@miniodb/core/auth/jwt.ts';
import { unauthenticated } from '@miniodb/core/auth/refusals.ts';
import { permissionsSchema } from '@miniodb/core/auth/sections.ts';
import { newToken } from '@miniodb/core/auth/token.ts';
import { TokenCheck } from '@miniodb/core/auth/token-check.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { openOlapClient } from '@miniodb/proto/client.ts';
import { ListTablesRequest, WriteRequest } from '@miniodb/proto/gen/olap/v1/olap.ts';
import { ByteBudget } from '../write/budget.ts';
import { type Authentication, EVERYBODY, openAuthentication } from './authenticate.ts';
import { openGatewayGrpc } from './grpc.ts';
import { RecordingApi } from './recording-api.ts';
import { assertProblem, serve } from './rest-fixture.ts';

const opened: { close(graceMs: number): Promise<void> | void }[] = [];
after(async () => {
  for (const resource of opened.reverse()) await resource.close(0);
});

const made = newToken({ user: 'writer', createdMs: 0 });
const strangers = newToken({ user: 'stranger', createdMs: 0 });
const expired = newToken({ user: 'writer', createdMs: 0, expiresMs: 1 });
const records = new Map([made, strangers, expired].map(({ id, record }) => [id, record]));
const bearer = { authorization: `Bearer ${made.token}` };

function open(options: { jwt?: JwtCheck; redisAway?: boolean; refusals?: string[] } = {}): Authentication {
  const permissions = {
    enabled: true,
    roles: { writer: ['table:*:write'] },
    users: { writer: ['writer'] },
  };
  const away = new MiniodbError('unavailable', 'Redis is not reachable', { code: 'redis_unavailable' });
  const read = async (id: string) => {
    if (options.redisAway === true) throw away;
    return records.get(id);
  };
  return openAuthentication({
    directory: new Directory(permissionsSchema.parse(permissions)),
    tokens: new TokenCheck({ read }, Date.now),
    jwt: options.jwt,
    onRefused: (error) => options.refusals?.push((error as MiniodbError).code),
  });
}

describe('who calls', () => {
  test('is the user of the token, whatever the case of the scheme', async () => {
    const authentication = open();
    for (const scheme of ['Bearer', 'bearer', 'BEARER ']) {
      assert.equal((await authentication.principalOf(`${scheme} ${made.token}`)).user, 'writer');
    }
  });

  test('is nobody without a token, with a bad one, or with one of a user that is not configured', async () => {
    const refusals: string[] = [];
    const authentication = open({ refusals });
    const cases: [string | undefined, string][] = [
      [undefined, 'credentials_missing'],
      ['', 'credentials_missing'],
      ['Bearer', 'credentials_missing'],
      ['Bearer ', 'credentials_missing'],
      ['Basic d3JpdGVyOng=', 'credentials_missing'],
      [made.token, 'credentials_missing'],
      [`Bearer ${made.token} ${made.token}`, 'credentials_missing'],
      [`Bearer ${newToken({ user: 'writer', createdMs: 0 }).token}`, 'unauthenticated'],
      ['Bearer a.b.c', 'unauthenticated'],
      [`Bearer ${'x'.repeat(1_048_576)}`, 'unauthenticated'],
      [`Bearer ${expired.token}`, 'token_expired'],
      [`Bearer ${strangers.token}`, 'user_unknown'],
    ];
    for (const [header, code] of cases) {
      await assert.rejects(authentication.principalOf(header), { kind: 'unauthenticated', code });
    }
    assert.deepEqual(
      refusals,
      cases.map(([, code]) => code),
    );
  });

  test('is not known while Redis is away, and then nobody is let in', async () => {
    await assert.rejects(open({ redisAway: true }).principalOf(bearer.authorization), {
      kind: 'unavailable',
    });
  });

  test('is found out once for a JWT that comes again and again, and each time for a bad one', async () => {
    const texts: string[] = [];
    const jwt = {
      async userOf(text: string) {
        texts.push(text);
        if (text === 'bad.jwt.x') throw unauthenticated();
        return 'writer';
      },
    };
    const authentication = open({ jwt });
    for (let times = 0; times < 3; times += 1) {
      assert.equal((await authentication.principalOf('Bearer good.jwt.x')).user, 'writer');
      await assert.rejects(authentication.principalOf('Bearer bad.jwt.x'));
    }
    assert.deepEqual(texts, ['good.jwt.x', 'bad.jwt.x', 'bad.jwt.x', 'bad.jwt.x']);
  });

  test('is anonymous while permissions are off, whatever is shown', async () => {
    assert.equal(EVERYBODY.isRequired, false);
    assert.equal((await EVERYBODY.principalOf('Bearer nonsense')).user, 'anonymous');
  });
});

describe('REST', () => {
  test('answers 401 and how to ask, on every route but health', async () => {
    const { send, post, api } = await serve({ authentication: open() });
    for (const path of ['/v1/data', '/v1/tables/t/rows', '/v1/tables', '/v1/query', '/v1/nothing', '/']) {
      const answer = await post(path, {});
      assertProblem(answer, 401, 'credentials_missing');
      assert.equal(answer.headers.get('www-authenticate'), 'Bearer');
    }
    assertProblem(await send('/v1/query', { method: 'PUT' }), 401, 'credentials_missing');
    assert.equal((await send('/v1/health', { method: 'GET' })).status, 200);
    assert.equal(api.queries.length, 0);
  });

  test('hands on who calls', async () => {
    const { post, api } = await serve({ authentication: open() });
    assert.equal((await post('/v1/query', { sql: 'SELECT 1' }, bearer)).status, 200);
    assert.equal(api.queries[0]!.call.principal.user, 'writer');
    assertProblem(await post('/v1/nothing', {}, bearer), 404, 'route_not_found');
  });

  test('answers a stranger before the body has come, and closes where much of it is to come', async () => {
    const { server, budget } = await serve({ authentication: open() });
    const socket = connect(server.port, '127.0.0.1');
    after(() => socket.destroy());
    socket.write(
      'POST /v1/tables/t/rows HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n' +
        'content-length: 67108864\r\n\r\n',
    );
    let answer = '';
    socket.on('data', (bytes) => (answer += bytes));
    await once(socket, 'end');
    assert.match(answer, /^HTTP\/1\.1 401 /);
    assert.match(answer, /\r\nconnection: close\r\n/i);
    assert.equal(budget.taken, 0);
  });
});

describe('gRPC', () => {
  async function serveGrpc(authentication: Authentication) {
    const api = new RecordingApi();
    const budget = new ByteBudget(Number.MAX_SAFE_INTEGER);
    const options = { host: '127.0.0.1', port: 0, authentication };
    const server = await openGatewayGrpc(api, budget, silentLog(), options);
    const client = openOlapClient(server.address);
    opened.push(server, client);
    return { api, client, address: server.address };
  }
  const row = WriteRequest.create({ table: 't', id: 'i', payload: { a: 1 } });

  test('answers UNAUTHENTICATED on every method but HealthCheck, with the code', async () => {
    const { client, api } = await serveGrpc(open());
    const missing = { kind: 'unauthenticated', code: 'credentials_missing' };
    await assert.rejects(client.write(row), missing);
    await assert.rejects(client.listTables(ListTablesRequest.create({})), missing);
    await assert.rejects(client.query({ sql: 'SELECT 1' }), missing);
    await assert.rejects(client.query({ sql: 'SELECT 1' }, { metadata: { authorization: 'Bearer x' } }), {
      kind: 'unauthenticated',
      code: 'unauthenticated',
    });
    assert.equal((await client.healthCheck({})).status, 'healthy');
    assert.deepEqual([api.rows.length, api.queries.length], [0, 0]);
  });

  test('hands on who calls', async () => {
    const { client, api } = await serveGrpc(open());
    assert.equal((await client.write(row, { metadata: bearer })).success, true);
    assert.equal(api.rows[0]!.call.principal.user, 'writer');
  });

  test('answers a stranger of whose message not a byte has come', { timeout: 20_000 }, async () => {
    const { address } = await serveGrpc(open());
    const session = connectHttp2(`http://${address}`);
    opened.push({ close: () => session.destroy() });
    const stream = session.request(
      {
        ':method': 'POST',
        ':path': '/olap.v1.OlapService/WriteBatch',
        'content-type': 'application/grpc',
        te: 'trailers',
      },
      { endStream: false },
    );
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    assert.equal(headers['grpc-status'], '16');
  });
});
