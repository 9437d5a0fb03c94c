import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TokenStore } from '@miniodb/core/auth/token-store.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { type OlapClient, openOlapClient } from '@miniodb/proto/client.ts';
import { Ack, type WriteBatchRequest, type WriteBatchResponse } from '@miniodb/proto/gen/olap/v1/olap.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import { type GuardedCluster, startGuardedCluster } from '../security/callers.ts';

const REQUEST: WriteBatchRequest = {
  table: '',
  rows: [],
  ndjson: Buffer.alloc(0),
  batch_id: '',
  ack: Ack.DEFAULT,
  arrow_ipc: Buffer.alloc(0),
  compression: 0,
  skip_invalid: false,
};

/** One request of one row; `n` says which. */
function requestOf(table: string, n: number, more: Partial<WriteBatchRequest> = {}): WriteBatchRequest {
  const ndjson = Buffer.from(JSON.stringify({ id: `id-${n % 5}`, payload: { n } }));
  return { ...REQUEST, table, ndjson, ...more };
}

/** A stream that a test sends to, one request after the other, and what came of it. */
function openStream(client: OlapClient, metadata: Record<string, string> = {}) {
  const waiting: (WriteBatchRequest | undefined)[] = [];
  let wake = () => {};
  const requests = async function* () {
    for (;;) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else if (isEnded && waiting.length === 0) return;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  };
  let isEnded = false;
  const answers: WriteBatchResponse[] = [];
  const ended = (async (): Promise<MiniodbError | undefined> => {
    try {
      for await (const answer of client.writeStream(requests(), { metadata })) answers.push(answer);
      return undefined;
    } catch (error) {
      assert.ok(error instanceof MiniodbError, String(error));
      return error;
    }
  })();
  return {
    answers,
    ended,
    send(...more: WriteBatchRequest[]) {
      waiting.push(...more);
      wake();
    },
    end() {
      isEnded = true;
      wake();
    },
    answered: (count: number) => waitFor(`${count} are answered`, () => answers.length === count),
  };
}

const sequenceOf = ({ position }: WriteBatchResponse) => Number(position.split(':')[1]);

describe('a stream of writes', () => {
  let cluster: TestCluster;

  before(async () => {
    cluster = await startTestCluster({ restart: false });
  });

  after(() => cluster.stop());

  const contents = (table: string) =>
    cluster.query(`SELECT count(*) AS n, count(DISTINCT n) AS d FROM ${table}`);

  test('is answered request by request, as batches are, and every row is there once', async () => {
    const stream = openStream(cluster.grpc);
    for (let n = 0; n < 300; n += 1) stream.send(requestOf('streamed', n));
    stream.end();
    assert.equal(await stream.ended, undefined);
    assert.equal(stream.answers.length, 300);
    for (const answer of stream.answers) {
      assert.deepEqual([answer.accepted, answer.ack], [1n, Ack.DURABLE]);
      assert.match(answer.position, /^[0-9a-f]+:\d+$/);
    }
    assert.deepEqual(await contents('streamed'), [{ n: 300, d: 300 }]);
  });

  test('answers what it has while the client thinks', async () => {
    const stream = openStream(cluster.grpc);
    for (let n = 0; n < 5; n += 1) {
      stream.send(requestOf('streamed_slowly', n));
      await stream.answered(n + 1);
    }
    const sequences = stream.answers.map(sequenceOf);
    assert.deepEqual(
      sequences,
      sequences.toSorted((a, b) => a - b),
    );
    stream.end();
    assert.equal(await stream.ended, undefined);
  });

  test('may name another table, level and key with every request', async () => {
    const stream = openStream(cluster.grpc);
    stream.send(
      requestOf('streamed_a', 0, { ack: Ack.QUEUED, batch_id: 'k' }),
      requestOf('streamed_b', 1, { ack: Ack.COMMITTED }),
    );
    await stream.answered(2);
    stream.send(requestOf('streamed_a', 0, { ack: Ack.QUEUED, batch_id: 'k' }));
    stream.end();
    assert.equal(await stream.ended, undefined);
    assert.deepEqual(
      stream.answers.map(({ ack, duplicate, batch_id: id }) => [ack, duplicate, id === 'k']),
      [
        [Ack.QUEUED, false, true],
        [Ack.COMMITTED, false, false],
        [Ack.QUEUED, true, true],
      ],
    );
    assert.deepEqual(await contents('streamed_a'), [{ n: 1, d: 1 }]);
    assert.equal(await cluster.pendingRows('streamed_b'), 0);
  });

  test('ends with what its first bad request failed with, after all answers before it', async () => {
    const stream = openStream(cluster.grpc);
    stream.send(
      requestOf('streamed_badly', 0),
      requestOf('streamed_badly', 1),
      requestOf('streamed_badly', 2, { ndjson: Buffer.from('{"id":"","payload":{}}') }),
    );
    const error = await stream.ended;
    assert.deepEqual([error?.kind, error?.code], ['invalid_argument', 'invalid_rows']);
    assert.equal(stream.answers.length, 2);
    assert.deepEqual(await contents('streamed_badly'), [{ n: 2, d: 2 }]);
    const garbage = openStream(cluster.grpc);
    garbage.send(requestOf('streamed_badly', 3), requestOf('streamed_badly', 4, { ack: 77 as Ack }));
    assert.equal((await garbage.ended)?.code, 'unknown_ack');
    assert.equal(garbage.answers.length, 1);
  });

  test('of a gateway that stops answers what is in work and then ends as unavailable', async () => {
    const name = await cluster.cluster.add('gateway');
    const client = openOlapClient(`127.0.0.1:${cluster.cluster.member(name).ports.grpc_port}`);
    try {
      const stream = openStream(client);
      const idle = openStream(client);
      idle.send(requestOf('streamed_drained', 0));
      await idle.answered(1);
      stream.send(requestOf('streamed_drained', 1, { ack: Ack.COMMITTED }));
      await waitFor('it is in work', async () => (await cluster.count('streamed_drained')) === 2);
      await cluster.cluster.remove(name);
      for (const { ended } of [stream, idle]) {
        const error = await ended;
        assert.deepEqual([error?.kind, error?.code], ['unavailable', 'draining']);
      }
      assert.deepEqual([stream.answers.length, idle.answers.length], [1, 1]);
      assert.equal(stream.answers[0]!.ack, Ack.COMMITTED);
    } finally {
      client.close();
    }
  });
});

describe('a stream of writes, with permissions on', () => {
  let cluster: GuardedCluster;

  before(async () => {
    cluster = await startGuardedCluster();
  });

  after(() => cluster.stop());

  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

  test('is asked for its grants at every request', async () => {
    const stream = openStream(cluster.grpc, bearer(cluster.tokens['service-user-001']));
    stream.send(requestOf('users', 0), requestOf('orders', 1));
    assert.equal((await stream.ended)?.code, 'table_forbidden');
    assert.equal(stream.answers.length, 1);
  });

  test('ends when its token is revoked', async () => {
    const { id, token } = await cluster.newToken('service-user-001');
    const stream = openStream(cluster.grpc, bearer(token));
    stream.send(requestOf('users', 0));
    await stream.answered(1);
    await new TokenStore(cluster.redis).revoke(id);
    let sent = 1;
    await waitFor('the stream is over', async () => {
      stream.send(requestOf('users', sent));
      sent += 1;
      return Promise.race([stream.ended, Promise.resolve(undefined)]);
    });
    assert.equal((await stream.ended)?.kind, 'unauthenticated');
    assert.ok(stream.answers.length < sent);
  });

  test('is nobody’s without credentials', async () => {
    const stream = openStream(cluster.grpc);
    stream.send(requestOf('users', 0));
    assert.equal((await stream.ended)?.code, 'credentials_missing');
  });

  test('a flush is for those who may write', async () => {
    const flush = (user: 'service-user-001' | 'analyst-001' | 'admin-001', table: string) =>
      cluster.call(cluster.tokens[user], 'POST', `/v1/tables/${table}/flush`, {});
    assert.equal((await flush('service-user-001', 'users')).status, 200);
    assert.equal((await flush('admin-001', 'users')).status, 200);
    // Who may not write there does not learn whether it exists either.
    for (const table of ['users', 'no_such_table']) {
      const refused = await flush('analyst-001', table);
      assert.deepEqual([refused.status, refused.code], [403, 'table_forbidden']);
    }
  });
});
