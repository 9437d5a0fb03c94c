import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { asMiniodbError, MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { openOlapClient, openQuerierClient } from './client.ts';
import {
  type ExecuteRequest,
  ExecuteResponse,
  QuerierServiceService,
} from './gen/miniodb/internal/v1/querier.ts';
import {
  OlapServiceService,
  WriteBatchRequest,
  WriteBatchResponse,
  WriteRequest,
} from './gen/olap/v1/olap.ts';
import { type GrpcServer, openGrpcServer } from './server.ts';
import { type Handlers, implementService, type ServerCall } from './service.ts';

type OlapHandlers = Handlers<typeof OlapServiceService>;
type Execute = Handlers<typeof QuerierServiceService>['execute'];

const opened: { close(graceMs: number): Promise<void> | void }[] = [];
after(async () => {
  for (const resource of opened.reverse()) await resource.close(0);
});

async function serveQuerier(execute: Execute) {
  const server = await openGrpcServer({
    host: '127.0.0.1',
    port: 0,
    services: [implementService(QuerierServiceService, { execute }, (error) => error)],
  });
  const client = openQuerierClient(server.address);
  opened.push(server, client);
  return { server, client };
}

const refused = async (): Promise<never> => {
  throw new MiniodbError('unimplemented', 'not here', { code: 'unimplemented' });
};

async function serveOlap(handlers: Partial<OlapHandlers>) {
  const all = Object.fromEntries(Object.keys(OlapServiceService).map((name) => [name, refused]));
  const server = await openGrpcServer({
    host: '127.0.0.1',
    port: 0,
    services: [
      implementService(
        OlapServiceService,
        { ...all, ...handlers } as unknown as OlapHandlers,
        (error) => error,
      ),
    ],
  });
  const client = openOlapClient(server.address);
  opened.push(server, client);
  return { server, client };
}

const REQUEST: ExecuteRequest = {
  sql: 'SELECT 1',
  params_json: '[1,"a",null]',
  position: '',
};

async function failure(work: Promise<unknown>): Promise<MiniodbError> {
  const error = await work.then(
    () => assert.fail('it should have failed'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof MiniodbError, String(error));
  return error;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

test('a server stream arrives whole, in order, with the request that was sent', async () => {
  let seen: ExecuteRequest | undefined;
  const { client } = await serveQuerier(async function* (request) {
    seen = request;
    yield ExecuteResponse.create({
      part: { $case: 'header', value: { columns: [{ name: 'n', type: 'BIGINT' }] } },
    });
    for (let n = 0; n < 200; n += 1) {
      yield ExecuteResponse.create({ part: { $case: 'chunk', value: Buffer.alloc(10_000, n) } });
    }
    yield ExecuteResponse.create({
      part: { $case: 'trailer', value: { row_count: 2n ** 60n, elapsed_ms: 1.5 } },
    });
  });
  const parts = (await collect(client.execute(REQUEST))).map((response) => response.part!);
  assert.deepEqual(seen, REQUEST);
  assert.equal(parts.length, 202);
  assert.deepEqual(
    parts.slice(1, -1).map((part) => part.$case === 'chunk' && part.value[9_999]),
    Array.from({ length: 200 }, (_, n) => n),
  );
  const last = parts.at(-1)!;
  assert.ok(last.$case === 'trailer' && last.value.row_count === 2n ** 60n);
});

test('a client that stops reading stops the server from producing', async () => {
  let produced = 0;
  let stopped: MiniodbError | undefined;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const { client } = await serveQuerier(async function* (_request, call) {
    try {
      for (; produced < 10_000; produced += 1) {
        yield ExecuteResponse.create({ part: { $case: 'chunk', value: Buffer.alloc(100_000) } });
      }
    } finally {
      stopped = asMiniodbError(call.signal.reason);
      end();
    }
  });
  for await (const _part of client.execute(REQUEST)) break;
  await ended;
  assert.equal(stopped?.kind, 'cancelled');
  assert.ok(produced < 1000, `${produced} of 10000 chunks were produced for a client that read one`);
});

test('an error after the first message reaches the reader as what was thrown', async () => {
  const { client } = await serveQuerier(async function* () {
    yield ExecuteResponse.create({ part: { $case: 'chunk', value: Buffer.from('[') } });
    throw new MiniodbError('data_corrupted', 'checksum of x', {
      code: 'checksum_mismatch',
      details: { file: 'x' },
    });
  });
  const error = await failure(collect(client.execute(REQUEST)));
  assert.deepEqual(
    [error.kind, error.code, error.message, error.details],
    ['data_corrupted', 'checksum_mismatch', 'checksum of x', { file: 'x' }],
  );
});

test('a write stream answers each request in order, and a failing source of requests fails the call', async () => {
  const { client } = await serveOlap({
    writeStream: async function* (requests) {
      for await (const request of requests) yield WriteBatchResponse.create({ batch_id: request.batch_id });
    },
  });
  async function* requests(count: number, fails: boolean) {
    for (let n = 0; n < count; n += 1) yield WriteBatchRequest.create({ batch_id: `b${n}` });
    if (fails) throw new MiniodbError('invalid_argument', 'the source broke', { code: 'source' });
  }
  const answers = await collect(client.writeStream(requests(50, false)));
  assert.deepEqual(
    answers.map((answer) => answer.batch_id),
    Array.from({ length: 50 }, (_, n) => `b${n}`),
  );
  assert.equal((await failure(collect(client.writeStream(requests(3, true))))).code, 'source');
});

test('a deadline ends the call on both sides', async () => {
  const { promise: aborted, resolve } = Promise.withResolvers<MiniodbError>();
  const { client } = await serveOlap({
    query: (_request, call) =>
      new Promise(() =>
        call.signal.addEventListener('abort', () => resolve(call.signal.reason as MiniodbError)),
      ),
  });
  const error = await failure(client.query({ sql: 'x' }, { deadlineMs: 50 }));
  assert.equal(error.kind, 'deadline_exceeded');
  assert.equal((await aborted).kind, 'deadline_exceeded');
});

test('an aborted signal ends the call on both sides', async () => {
  const arrived = Promise.withResolvers<ServerCall>();
  const { client } = await serveOlap({
    query: (_request, call) => {
      arrived.resolve(call);
      return new Promise(() => {});
    },
  });
  const abort = new AbortController();
  const failed = failure(client.query({ sql: 'x' }, { signal: abort.signal }));
  const call = await arrived.promise;
  abort.abort();
  assert.equal((await failed).kind, 'cancelled');
  if (!call.signal.aborted) await new Promise((resolve) => call.signal.addEventListener('abort', resolve));
  assert.equal((call.signal.reason as MiniodbError).kind, 'cancelled');
});

test('a broken connection leaves the outcome of a write unknown, and that of a read not', async () => {
  let server: GrpcServer | undefined;
  const breakOff = async (): Promise<never> => {
    await server!.close(0);
    return new Promise<never>(() => {});
  };
  const writing = await serveOlap({ write: breakOff });
  server = writing.server;
  assert.equal(
    (await failure(writing.client.write(WriteRequest.create({ id: 'a' })))).kind,
    'outcome_unknown',
  );
  const reading = await serveOlap({ query: breakOff });
  server = reading.server;
  assert.equal((await failure(reading.client.query({ sql: 'x' }))).kind, 'unavailable');
});

test('a write that was never sent is refused, not unknown', async () => {
  const { server } = await serveOlap({});
  const { address } = server;
  await server.close(0);
  const client = openOlapClient(address);
  opened.push(client);
  const error = await failure(client.write(WriteRequest.create({ id: 'a' })));
  assert.deepEqual([error.kind, error.code], ['unavailable', 'not_connected']);
});

test('bytes that are no message are an invalid argument', async () => {
  const { client } = await serveOlap({ query: async () => ({ result_json: '[]' }) });
  const encode = OlapServiceService.query.requestSerialize;
  const garbage = Buffer.from([0x0a, 0xff, 0xff]);
  // The definition is shared by all clients: it is put back before anything else runs.
  (OlapServiceService.query as { requestSerialize: unknown }).requestSerialize = () => garbage;
  const failed = failure(client.query({ sql: 'x' }));
  (OlapServiceService.query as { requestSerialize: unknown }).requestSerialize = encode;
  const error = await failed;
  assert.deepEqual([error.kind, error.code], ['invalid_argument', 'malformed_message']);
});

test('calls in flight end before a graceful close, and are ended when the time is over', async () => {
  const release = Promise.withResolvers<void>();
  const arrived = Promise.withResolvers<void>();
  const graceful = await serveOlap({
    query: async () => {
      arrived.resolve();
      await release.promise;
      return { result_json: '[1]' };
    },
  });
  const answer = graceful.client.query({ sql: 'x' });
  await arrived.promise;
  const closed = graceful.server.close(10_000);
  release.resolve();
  assert.equal((await answer).result_json, '[1]');
  await closed;

  const stuck = Promise.withResolvers<void>();
  const hanging = await serveOlap({
    query: () => {
      stuck.resolve();
      return new Promise(() => {});
    },
  });
  const failed = failure(hanging.client.query({ sql: 'x' }));
  await stuck.promise;
  await hanging.server.close(1);
  assert.equal((await failed).kind, 'unavailable');
});

test('a taken port is refused by its address', async () => {
  const { server } = await serveOlap({});
  const error = await failure(openGrpcServer({ host: '127.0.0.1', port: server.port, services: [] }));
  assert.equal(error.code, 'listen_failed');
  assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${server.port}`));
});
