import assert from 'node:assert/strict';
import { once } from 'node:events';
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { RETRY_POLICY } from './retry.ts';
import { S3ObjectStore } from './s3.ts';
import { sha256Of } from './sha256.ts';

const BODY = Buffer.from('the bytes of an object');
const SHA256 = sha256Of(BODY);
const UNAVAILABLE = { kind: 'unavailable', code: 'object_store_unavailable' };

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

const answerWith =
  (status: number, body: string | Buffer = '', headers: Record<string, string> = {}): Answer =>
  (response, request) => {
    // To its end, or the client sees a broken connection instead of the answer.
    request.resume().on('end', () => response.writeHead(status, headers).end(body));
  };

const failure = (status: number, code: string) => answerWith(status, `<Error><Code>${code}</Code></Error>`);

/** A server that gives one scripted answer after another, the last one for ever. */
describe('S3ObjectStore against a server that misbehaves', () => {
  let server: Server;
  let store: S3ObjectStore;
  let dir: string;
  let script: Answer[];
  let requests: IncomingMessage[];

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'miniodb-s3-unit-'));
    requests = [];
    server = createServer((request, response) => {
      requests.push(request);
      const next = script.length > 1 ? script.shift()! : script[0]!;
      next(response, request);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    store = open();
  });

  afterEach(async () => {
    await store.close();
    server.closeAllConnections();
    server.close();
    await rm(dir, { recursive: true });
  });

  function open(limits: ConstructorParameters<typeof S3ObjectStore>[0]['limits'] = {}): S3ObjectStore {
    return new S3ObjectStore({
      bucket: 'olap-data',
      region: 'us-east-1',
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      pathStyle: true,
      credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
      limits: { retry: { ...RETRY_POLICY, firstPauseMs: 1 }, ...limits },
    });
  }

  it('tries again after a passing failure, from the start of the file', async () => {
    script = [
      failure(503, 'SlowDown'),
      failure(500, 'InternalError'),
      (response) => response.destroy(),
      answerWith(200),
    ];
    await writeFile(join(dir, 'file'), BODY);
    await store.putFile('x', join(dir, 'file'), { sha256: SHA256 });
    assert.equal(requests.length, 4);
  });

  it('gives up after a bounded number of attempts', async () => {
    script = [failure(503, 'SlowDown')];
    await assert.rejects(store.put('x', BODY, { sha256: SHA256 }), UNAVAILABLE);
    assert.equal(requests.length, RETRY_POLICY.attemptsMax);
  });

  it('does not try again what cannot succeed', async () => {
    const answers = [
      [failure(403, 'AccessDenied'), 'permission_denied', 'object_store_denied'],
      [failure(404, 'NoSuchBucket'), 'failed_precondition', 'bucket_missing'],
      [failure(404, 'NoSuchKey'), 'not_found', 'object_not_found'],
      [failure(301, 'PermanentRedirect'), 'failed_precondition', 'bucket_wrong_region'],
      [failure(400, 'XAmzContentSHA256Mismatch'), 'data_corrupted', 'checksum_mismatch'],
      [failure(400, 'BadDigest'), 'data_corrupted', 'checksum_mismatch'],
      [failure(507, 'XMinioStorageFull'), 'resource_exhausted', 'object_store_full'],
      [failure(400, 'InvalidRequest'), 'internal', 'object_store_failed'],
    ] as const;
    for (const [answer, kind, code] of answers) {
      requests = [];
      script = [answer];
      await assert.rejects(store.put('x', BODY, { sha256: SHA256 }), { kind, code });
      assert.equal(requests.length, 1, code);
    }
  });

  it('calls a page that is not S3 by its status', async () => {
    script = [answerWith(502, '<html>bad gateway')];
    await assert.rejects(store.get('x'), UNAVAILABLE);
  });

  it('signs the known hash of what it puts, and keeps it as metadata', async () => {
    script = [answerWith(200)];
    await writeFile(join(dir, 'file'), BODY);
    await store.putFile('x', join(dir, 'file'), { sha256: SHA256 });
    await store.put('x', BODY, { sha256: SHA256 });
    for (const { headers } of requests) {
      assert.equal(headers['x-amz-content-sha256'], SHA256);
      assert.equal(headers['x-amz-checksum-sha256'], Buffer.from(SHA256, 'hex').toString('base64'));
      assert.equal(headers['x-amz-meta-sha256'], SHA256);
      assert.equal(headers['content-length'], String(BODY.length));
      assert.equal(headers['content-encoding'], undefined);
      assert.equal(headers['x-amz-trailer'], undefined);
    }
  });

  it('does not ask for checksums in answers, which it verifies itself', async () => {
    script = [answerWith(200, BODY)];
    await store.get('x', { sha256: SHA256 });
    assert.equal(requests[0]!.headers['x-amz-checksum-mode'], undefined);
  });

  it('starts a download again whose connection breaks in the middle', async () => {
    const half: Answer = (response) => {
      response.writeHead(200, { 'content-length': BODY.length });
      response.write(BODY.subarray(0, 5), () => response.destroy());
    };
    script = [half, half, answerWith(200, BODY)];
    assert.equal(await store.getFile('x', join(dir, 'got'), { sha256: SHA256 }), BODY.length);
    script = [half, answerWith(200, BODY)];
    assert.deepEqual(await store.get('x'), BODY);
    script = [half];
    await assert.rejects(store.getFile('x', join(dir, 'never')), UNAVAILABLE);
    await assert.rejects(access(join(dir, 'never')));
  });

  it('times out when the server is silent before, or in the middle of, an answer', async () => {
    const impatient = open({
      idleTimeoutMs: 50,
      retry: { ...RETRY_POLICY, attemptsMax: 2, firstPauseMs: 1 },
    });
    const stalls: Answer = (response) => {
      response.writeHead(200, { 'content-length': BODY.length });
      response.write(BODY.subarray(0, 5));
    };
    script = [() => {}];
    await assert.rejects(impatient.head('x'), UNAVAILABLE);
    await assert.rejects(impatient.put('x', BODY, { sha256: SHA256 }), UNAVAILABLE);
    script = [stalls];
    await assert.rejects(impatient.getFile('x', join(dir, 'stalled')), UNAVAILABLE);
    await assert.rejects(impatient.get('x'), UNAVAILABLE);
    await assert.rejects(access(join(dir, 'stalled')));
    await impatient.close();
  });

  it('says that it cannot be reached when nobody listens', async () => {
    server.close();
    await once(server, 'close');
    await assert.rejects(store.head('x'), UNAVAILABLE);
  });

  it('stops waiting for an answer, or for its turn, when the signal fires', async () => {
    const single = open({ connectionsMax: 1 });
    script = [() => {}];
    const first = new AbortController();
    const second = new AbortController();
    const cancelled = { kind: 'cancelled', code: 'cancelled' };
    const waiting = single.head('x', first.signal);
    const queued = single.head('y', second.signal);
    await once(server, 'request');
    second.abort();
    await assert.rejects(queued, cancelled);
    first.abort();
    await assert.rejects(waiting, cancelled);
    assert.equal(requests.length, 1);
    script = [answerWith(200)];
    await single.head('z');
    await single.close();
  });

  it('knows nothing of the hash of objects that others put there', async () => {
    script = [answerWith(200, '', { 'content-length': '5' })];
    assert.deepEqual(await store.head('x'), { sizeBytes: 5, sha256: undefined });
    script = [answerWith(200, '', { 'content-length': '5', 'x-amz-meta-sha256': 'nonsense' })];
    assert.deepEqual(await store.head('x'), { sizeBytes: 5, sha256: undefined });
  });

  it('refuses to read more into memory than the limit', async () => {
    script = [(response) => response.writeHead(200, { 'content-length': String(2 ** 30) }).flushHeaders()];
    await assert.rejects(store.get('x'), { kind: 'invalid_argument', code: 'object_too_large' });
    assert.equal(requests.length, 1);
  });

  it('believes a completed upload whose answer was lost', async () => {
    const parts = open({ singlePutBytesMax: 1 });
    await writeFile(join(dir, 'file'), BODY);
    const begun = answerWith(200, '<R><UploadId>u</UploadId></R>');
    const part = answerWith(200, '', { etag: '"e"' });
    const lost: Answer = (response) => response.destroy();
    const stored = answerWith(200, '', { 'x-amz-meta-sha256': SHA256 });
    script = [begun, part, lost, failure(404, 'NoSuchUpload')];
    script.push(...Array<Answer>(RETRY_POLICY.attemptsMax - 2).fill(failure(404, 'NoSuchUpload')), stored);
    await parts.putFile('x', join(dir, 'file'), { sha256: SHA256 });
    script = [begun, part, lost, failure(404, 'NoSuchUpload')];
    await assert.rejects(parts.putFile('x', join(dir, 'file'), { sha256: SHA256 }), { kind: 'unavailable' });
    await parts.close();
  });
});
