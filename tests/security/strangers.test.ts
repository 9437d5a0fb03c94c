import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { openQuerierClient } from '@miniodb/proto/client.ts';
import { type GuardedCluster, startGuardedCluster } from './callers.ts';

let guarded: GuardedCluster;
const resources: { destroy(): void }[] = [];
before(async () => {
  guarded = await startGuardedCluster();
});
after(async () => {
  for (const resource of resources) resource.destroy();
  await guarded?.stop();
});

const MIB = 1_048_576;
/** What a process may grow by while 20 calls each try to make it hold 60 MiB. */
const GROWTH_MIB_MAX = 200;
const CALLS = 20;
const OPEN_PATHS = [
  '/grpc.health.v1.Health/Check',
  '/grpc.health.v1.Health/Watch',
  '/olap.v1.OlapService/HealthCheck',
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
];
const EXECUTE = '/miniodb.internal.v1.QuerierService/Execute';
/** What a client of node:http2 keeps of what it has not sent yet. */
const SESSION_MIB_MAX = 1_000;
const STATUS = { unimplemented: '12', denied: '7', exhausted: '8', unauthenticated: '16' };

/** 60 KB that gunzip to 60 MiB, as a message that is compressed. */
const GZIP_FRAME = (() => {
  const zipped = gzipSync(Buffer.alloc(60 * MIB, 'a'));
  return Buffer.concat([frameHead(1, zipped.length), zipped]);
})();
/** The beginning of a message of 60 MiB whose end never comes. */
const PARTIAL_FRAME = Buffer.concat([frameHead(0, 60 * MIB), Buffer.alloc(8 * MIB, 'a')]);

function frameHead(flags: number, bytes: number): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags);
  head.writeUInt32BE(bytes, 1);
  return head;
}

const member = (name: string) => guarded.cluster.member(name);
const gatewayGrpc = () => member('gateway-1').ports.grpc_port!;

function rssMib(name: string): number {
  const status = readFileSync(`/proc/${member(name).process.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1_024;
}

function openSession(port: number): ClientHttp2Session {
  const session = connectHttp2(`http://127.0.0.1:${port}`, { maxSessionMemory: SESSION_MIB_MAX });
  session.on('error', () => {});
  resources.push(session);
  return session;
}

/** A call whose client never says that it has sent all. @returns the status that comes all the same */
async function leaveOpen(
  session: ClientHttp2Session,
  path: string,
  bytes: Buffer,
  headers: Record<string, string> = {},
): Promise<unknown> {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  // A status that came is what counts; what was still on its way then may fail.
  stream.on('error', () => {});
  stream.resume();
  stream.write(bytes);
  const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders];
  return answer['grpc-status'];
}

async function statusesOf(
  port: number,
  path: string,
  bytes: Buffer,
  headers: Record<string, string> = {},
): Promise<unknown[]> {
  const session = openSession(port);
  const calls = Array.from({ length: CALLS }, () => leaveOpen(session, path, bytes, headers));
  return [...new Set(await Promise.all(calls))];
}

describe('a stranger on the gRPC port', () => {
  for (const [what, frame, headers, status] of [
    ['compressed messages', GZIP_FRAME, { 'grpc-encoding': 'gzip' }, STATUS.unimplemented],
    ['beginnings of large messages', PARTIAL_FRAME, {}, STATUS.exhausted],
  ] as const) {
    test(`makes a gateway hold no ${what} through methods that are open to all`, {
      timeout: 10_000,
    }, async () => {
      const before = rssMib('gateway-1');
      for (const path of OPEN_PATHS) {
        assert.deepEqual(await statusesOf(gatewayGrpc(), path, frame, headers), [status], path);
      }
      assert.ok(rssMib('gateway-1') - before < GROWTH_MIB_MAX, `${before} -> ${rssMib('gateway-1')} MiB`);
    });
  }
});

describe('a stranger on the queriers’ port', () => {
  test('makes a querier hold no messages, and hears before they have come that nobody vouches', {
    timeout: 10_000,
  }, async () => {
    const { port } = member('querier-1').ports;
    const before = rssMib('querier-1');
    const gzip = { 'grpc-encoding': 'gzip' };
    assert.deepEqual(await statusesOf(port!, EXECUTE, GZIP_FRAME, gzip), [STATUS.unimplemented]);
    assert.deepEqual(await statusesOf(port!, EXECUTE, PARTIAL_FRAME), [STATUS.denied]);
    const voucher = { 'x-miniodb-voucher': `2.e30.${randomBytes(32).toString('base64url')}` };
    assert.deepEqual(await statusesOf(port!, EXECUTE, PARTIAL_FRAME, voucher), [STATUS.denied]);
    const health = await statusesOf(port!, OPEN_PATHS[0]!, PARTIAL_FRAME);
    assert.deepEqual(health, [STATUS.exhausted]);
    assert.ok(rssMib('querier-1') - before < GROWTH_MIB_MAX, `${before} -> ${rssMib('querier-1')} MiB`);
  });

  test('has no parameters of his parsed', { timeout: 10_000 }, async () => {
    const client = openQuerierClient(`127.0.0.1:${member('querier-1').ports.port}`);
    try {
      const request = { sql: 'SELECT 1', params_json: '[secret-of-mine', position: '' };
      const answer = client.execute(request)[Symbol.asyncIterator]().next();
      await assert.rejects(answer, { kind: 'permission_denied', code: 'voucher_refused' });
    } finally {
      client.close();
    }
  });
});

describe('a user without a grant to write', () => {
  test('keeps nobody from writing by bodies that he announces', { timeout: 10_000 }, async () => {
    const answers = await announce('analyst-001');
    for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 403 .*"code":"table_forbidden"/s);
  });

  test('makes a gateway hold no messages of writes', { timeout: 10_000 }, async () => {
    const before = rssMib('gateway-1');
    const authorization = `Bearer ${guarded.tokens['analyst-001']}`;
    for (const method of ['Write', 'WriteBatch', 'WriteStream']) {
      const statuses = await statusesOf(gatewayGrpc(), `/olap.v1.OlapService/${method}`, PARTIAL_FRAME, {
        authorization,
      });
      assert.deepEqual(statuses, [STATUS.denied], method);
    }
    assert.ok(rssMib('gateway-1') - before < GROWTH_MIB_MAX, `${before} -> ${rssMib('gateway-1')} MiB`);
  });
});

describe('a user who may write', () => {
  test('keeps nobody from writing by bodies that he announces and does not send', {
    timeout: 10_000,
  }, async () => {
    const sockets = announced('service-user-001');
    // The first ones may come before the headers do.
    for (let times = 0; times < 20; times += 1) await writeOrder();
    for (const socket of sockets) socket.destroy();
  });

  test('makes a gateway unpack no compressed messages', { timeout: 10_000 }, async () => {
    const before = rssMib('gateway-1');
    const headers = {
      'grpc-encoding': 'gzip',
      authorization: `Bearer ${guarded.tokens['service-user-001']}`,
    };
    const path = '/olap.v1.OlapService/WriteBatch';
    assert.deepEqual(await statusesOf(gatewayGrpc(), path, GZIP_FRAME, headers), [STATUS.unimplemented]);
    assert.ok(rssMib('gateway-1') - before < GROWTH_MIB_MAX, `${before} -> ${rssMib('gateway-1')} MiB`);
  });
});

async function writeOrder(): Promise<void> {
  const body = { table: 'orders', id: 'i', payload: { n: 1 } };
  const answer = await guarded.call(guarded.tokens['service-order-001'], 'POST', '/v1/data', body);
  assert.equal(answer.status, 200, answer.text);
}

/** As many requests as would fill the budget if what they announce counted. */
function announced(user: 'analyst-001' | 'service-user-001'): Socket[] {
  const head = [
    'POST /v1/tables/users/rows HTTP/1.1',
    'Host: localhost',
    `Authorization: Bearer ${guarded.tokens[user]}`,
    'Content-Type: application/x-ndjson',
    `Content-Length: ${64 * MIB}`,
  ];
  return Array.from({ length: 16 }, () => {
    const socket = connect(Number(new URL(guarded.restUrl).port), '127.0.0.1');
    socket.on('error', () => {});
    resources.push(socket);
    socket.write(`${head.join('\r\n')}\r\n\r\n`);
    return socket;
  });
}

async function announce(user: 'analyst-001'): Promise<string[]> {
  const answers = announced(user).map(async (socket) => {
    let text = '';
    socket.on('data', (bytes) => (text += bytes));
    await once(socket, 'end');
    return text;
  });
  await writeOrder();
  return Promise.all(answers);
}
