import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
} from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Intake } from '@miniodb/proto/arrival.ts';
import { OpenCalls } from '@miniodb/proto/open-calls.ts';
import { type GrpcServer, openGrpcServer } from '@miniodb/proto/server.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

const UNARY = '/grpc.health.v1.Health/Check';
const STREAM = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
/** Field 7 of ServerReflectionRequest. */
const LIST_SERVICES = Buffer.from([0x3a, 1, 0x2a]);
const STATUS = { deadline: '4', exhausted: '8', unimplemented: '12' };

let server: GrpcServer;
let session: ClientHttp2Session;
let intake: Intake = {};
before(async () => {
  server = await openGrpcServer({
    host: '127.0.0.1',
    port: 0,
    services: [],
    reflection: true,
    connectionsMax: 2,
    admit: async () => ({ admission: undefined, intake }),
  });
  session = connect(`http://${server.address}`);
});
beforeEach(() => {
  intake = {};
});
after(async () => {
  session.destroy();
  await server.close(0);
});

function open(path: string, headers: Record<string, string> = {}): ClientHttp2Stream {
  const head = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  const stream = session.request({ ...head, ...headers });
  stream.on('error', () => {});
  return stream.resume();
}

async function statusOf(stream: ClientHttp2Stream): Promise<unknown> {
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
  return headers['grpc-status'];
}

/** @param announced what the frame says that it holds */
function frame(body: Buffer, announced = body.length, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags);
  head.writeUInt32BE(announced, 1);
  return Buffer.concat([head, body]);
}

test('a message that announces more than its call may send is refused before it has come', {
  timeout: 10_000,
}, async () => {
  intake = { messageBytesMax: 100 };
  const refused = open(UNARY);
  refused.write(frame(Buffer.alloc(1), 101));
  assert.equal(await statusOf(refused), STATUS.exhausted);
  await once(refused, 'close');
});

test('a message that is compressed is refused, whoever sends it', { timeout: 10_000 }, async () => {
  const refused = open(UNARY, { 'grpc-encoding': 'gzip' });
  refused.write(frame(gzipSync(Buffer.alloc(1_000_000)), undefined, 1));
  assert.equal(await statusOf(refused), STATUS.unimplemented);
  await once(refused, 'close');
});

test('a call whose message does not come in time is ended, also when only the end is missing', {
  timeout: 10_000,
}, async () => {
  intake = { messageTimeoutMs: 50 };
  const whole = frame(Buffer.alloc(0));
  for (const bytes of [Buffer.alloc(0), whole.subarray(0, 3), whole]) {
    const slow = open(UNARY);
    slow.write(bytes);
    assert.equal(await statusOf(slow), STATUS.deadline);
    await once(slow, 'close');
  }
});

test('of a call with many messages each has that time, and the client may wait between them', {
  timeout: 10_000,
}, async () => {
  intake = { messageTimeoutMs: 50 };
  const stream = open(STREAM);
  stream.write(frame(LIST_SERVICES));
  await once(stream, 'response');
  const answeredAtMs = performance.now();
  await waitFor('the time for a message is over', () => performance.now() - answeredAtMs > 120);
  assert.equal(stream.closed, false);
  const trailers = once(stream, 'trailers') as Promise<[IncomingHttpHeaders]>;
  stream.write(frame(Buffer.alloc(1), 2));
  const [{ 'grpc-status': status }] = await trailers;
  assert.equal(status, STATUS.deadline);
});

test('a large message that stops coming is too slow', { timeout: 10_000 }, async (context) => {
  intake = { isPaced: true, arrived: () => (bytes += 1) };
  let bytes = 0;
  context.mock.timers.enable({ apis: ['setInterval'] });
  const slow = open(UNARY);
  const status = statusOf(slow);
  slow.write(frame(Buffer.alloc(300_000), 1_000_000));
  await waitFor('it has begun to come', () => bytes > 10);
  const look = setImmediateUntil(() => context.mock.timers.tick(10_000));
  assert.equal(await status, STATUS.deadline);
  look.stop();
});

test('bytes are told of as they come, at the handover and at the end, and a refusal is the status', {
  timeout: 10_000,
}, async () => {
  const told: string[] = [];
  let held = 0;
  intake = {
    arrived: (bytes) => {
      held += bytes;
      if (held > 1_000) throw new Error('no room');
    },
    ended: () => told.push(`ended with ${held}`),
  };
  const fine = open(UNARY);
  fine.end(frame(Buffer.alloc(0)));
  await once(fine, 'close');
  await waitFor('the end is told', () => told.length === 1);
  assert.deepEqual(told, ['ended with 5']);
  const refused = open(UNARY);
  refused.write(frame(Buffer.alloc(2_000), 3_000));
  assert.equal(await statusOf(refused), '13');
  const gone = open(UNARY);
  gone.write(Buffer.alloc(1));
  await waitFor('the second end is told', () => told.length === 2);
  gone.destroy();
  await waitFor('the third end is told', () => told.length === 3);
});

test('one address has so many open calls at once, and others their own', () => {
  const calls = new OpenCalls();
  const intakes = Array.from({ length: 256 }, () => calls.intake('a'));
  assert.throws(() => calls.intake('a'), { kind: 'resource_exhausted', code: 'too_many_calls' });
  calls.intake('b');
  intakes[0]!.ended!();
  calls.intake('a');
});

test('connections beyond the limit are closed', { timeout: 10_000 }, async () => {
  const second = connectTcp(server.port, '127.0.0.1');
  await once(second, 'connect');
  const third = connectTcp(server.port, '127.0.0.1');
  third.on('error', () => {});
  third.resume();
  await once(third, 'close');
  assert.equal(second.destroyed, false);
  second.destroy();
});

/** Ticks of a mocked clock, until it is stopped: what they are for is started by what comes over a socket. */
function setImmediateUntil(tick: () => void): { stop(): void } {
  let isOver = false;
  const again = () => {
    if (isOver) return;
    tick();
    setImmediate(again);
  };
  setImmediate(again);
  return { stop: () => (isOver = true) };
}
