import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { openOlapClient } from '@miniodb/proto/client.ts';
import { Ack, type WriteBatchRequest } from '@miniodb/proto/gen/olap/v1/olap.ts';
import { ByteBudget } from '../write/budget.ts';
import { EVERYBODY } from './authenticate.ts';
import { openGatewayGrpc } from './grpc.ts';
import { RecordingApi } from './recording-api.ts';
import { answerInOrder } from './write-stream.ts';

/** A client that sends whenever it is read from, and requests that are answered when a test says so. */
function stream() {
  const call = new AbortController();
  const draining = new AbortController();
  const sent: PromiseWithResolvers<IteratorResult<number>>[] = [];
  const inWork = new Map<number, { done: PromiseWithResolvers<string>; signal: AbortSignal }>();
  let reads = 0;
  const requests = {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        reads += 1;
        sent[reads - 1] ??= Promise.withResolvers();
        return sent[reads - 1]!.promise;
      },
    }),
  };
  let sends = 0;
  const arrives = (read: IteratorResult<number>) => {
    sent[sends] ??= Promise.withResolvers();
    sent[sends]!.resolve(read);
    sends += 1;
  };
  const answer = (request: number, signal: AbortSignal) => {
    const done = Promise.withResolvers<string>();
    signal.addEventListener('abort', () => done.reject(signal.reason), { once: true });
    inWork.set(request, { done, signal });
    return done.promise;
  };
  const answers: string[] = [];
  const ended = (async () => {
    const signals = { call: call.signal, draining: draining.signal };
    for await (const answered of answerInOrder(requests, answer, signals)) answers.push(answered);
  })();
  ended.catch(() => {});
  return {
    call,
    draining,
    inWork,
    answers,
    ended,
    reads: () => reads,
    send: (request: number) => arrives({ value: request }),
    end: () => arrives({ value: undefined, done: true }),
    finish: (request: number) => inWork.get(request)!.done.resolve(`a${request}`),
    begun: async (count: number) => {
      await settled();
      assert.equal(inWork.size, count);
    },
  };
}

/** Nothing here waits for anything outside: after a few turns all that can happen has. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await nextTurn();
}

describe('a stream of requests', () => {
  test('is answered in the order of its requests, whichever is ready first', async () => {
    const own = stream();
    for (const request of [0, 1, 2]) own.send(request);
    own.end();
    await own.begun(3);
    for (const request of [2, 1]) own.finish(request);
    await settled();
    assert.deepEqual(own.answers, []);
    own.finish(0);
    await own.ended;
    assert.deepEqual(own.answers, ['a0', 'a1', 'a2']);
  });

  test('has a few requests in work and reads no more until one is answered', async () => {
    const own = stream();
    for (let request = 0; request < 8; request += 1) own.send(request);
    await own.begun(4);
    await settled();
    assert.deepEqual([own.inWork.size, own.reads()], [4, 4]);
    own.finish(1);
    await settled();
    assert.equal(own.reads(), 4);
    own.finish(0);
    await own.begun(6);
    own.call.abort(new MiniodbError('cancelled', 'gone', { code: 'cancelled' }));
    await assert.rejects(own.ended, { code: 'cancelled' });
  });

  test('ends with what its first failing request failed with, after the answers before it', async () => {
    const own = stream();
    for (const request of [0, 1, 2]) own.send(request);
    await own.begun(3);
    own.inWork.get(1)!.done.reject(new MiniodbError('invalid_argument', 'bad', { code: 'bad_row' }));
    await settled();
    own.finish(0);
    await settled();
    assert.equal(own.inWork.get(2)!.signal.aborted, true);
    await assert.rejects(own.ended, { code: 'bad_row' });
    assert.deepEqual(own.answers, ['a0']);
  });

  test('that drains answers what is in work, begins nothing more and then says so', async () => {
    const own = stream();
    own.send(0);
    await own.begun(1);
    own.draining.abort();
    own.send(1);
    await settled();
    own.finish(0);
    await settled();
    assert.deepEqual([own.answers, own.inWork.size], [['a0'], 1]);
    await assert.rejects(own.ended, { kind: 'unavailable', code: 'draining' });
  });

  test('that has ended is answered whole while its server drains', async () => {
    const own = stream();
    own.send(0);
    own.end();
    await own.begun(1);
    await settled();
    own.draining.abort();
    own.finish(0);
    await own.ended;
    assert.deepEqual(own.answers, ['a0']);
  });
});

test('what a stream is sent beyond what is in work stays with its client', async () => {
  const gate = Promise.withResolvers<void>();
  const api = new RecordingApi();
  api.gate = () => gate.promise;
  const budget = new ByteBudget(Number.MAX_SAFE_INTEGER);
  const server = await openGatewayGrpc(api, budget, silentLog(), {
    host: '127.0.0.1',
    port: 0,
    authentication: EVERYBODY,
  });
  const client = openOlapClient(server.address);
  try {
    const line = JSON.stringify({ id: 'a', payload: { text: 'x'.repeat(1_048_576) } });
    let sent = 0;
    const requests = async function* () {
      for (; sent < 40; sent += 1) yield { ...REQUEST, ndjson: Buffer.from(line) };
    };
    const answers = (async () => {
      let count = 0;
      for await (const _ of client.writeStream(requests())) count += 1;
      return count;
    })();
    while (api.batches.length < 4) await sleep(10);
    // It has no more to say: what comes now would come at once.
    let before = -1;
    while (before !== sent) {
      before = sent;
      await sleep(200);
    }
    assert.equal(api.batches.length, 4);
    assert.ok(sent < 12, `${sent} MiB have left the client`);
    gate.resolve();
    assert.equal(await answers, 40);
    assert.equal(budget.taken, 0);
  } finally {
    gate.resolve();
    client.close();
    await server.close(0);
  }
});

const REQUEST: WriteBatchRequest = {
  table: 't',
  rows: [],
  ndjson: Buffer.alloc(0),
  batch_id: '',
  ack: Ack.DEFAULT,
  arrow_ipc: Buffer.alloc(0),
  compression: 0,
  skip_invalid: false,
};
