import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import { openObjectStore } from '@miniodb/core/storage/open-store.ts';
import { S3_LIMITS } from '@miniodb/core/storage/s3.ts';
import { sha256Of } from '@miniodb/core/storage/sha256.ts';
import { LIST_PAGE_KEYS, objectStoreSuite } from '@miniodb/testkit/object-store-suite.ts';
import { type S3Server, startS3Server } from '@miniodb/testkit/s3-server.ts';

const s3Limits = { listPageKeys: LIST_PAGE_KEYS };

objectStoreSuite('in a directory', async () => {
  const root = await mkdtemp(join(tmpdir(), 'miniodb-store-'));
  return {
    store: openObjectStore(pathToFileURL(root).href),
    prefix: 'suite/',
    corrupt: (key) => changeOneByte(join(root, key)),
    close: () => rm(root, { recursive: true }),
  };
});

objectStoreSuite('in a bucket of the test server', async () => {
  const server = await startS3Server();
  return {
    store: openObjectStore(server.url, { credentials: server.credentials, s3Limits }),
    prefix: 'suite/',
    corrupt: (key) => changeOneByte(server.store.object(server.bucket, key).path),
    close: () => server.stop(),
  };
});

objectStoreSuite('in a bucket, with files uploaded in parts', async () => {
  const server = await startS3Server();
  const limits = { ...s3Limits, singlePutBytesMax: 1000 };
  return {
    store: openObjectStore(server.url, { credentials: server.credentials, s3Limits: limits }),
    prefix: 'suite/',
    async close() {
      assert.equal(server.store.uploadsOpen, 0);
      await server.stop();
    },
  };
});

const {
  MINIODB_TEST_S3_URL: url,
  MINIODB_TEST_S3_ACCESS_KEY: accessKeyId,
  MINIODB_TEST_S3_SECRET_KEY: secretAccessKey,
} = process.env;
if (url !== undefined && accessKeyId !== undefined && secretAccessKey !== undefined) {
  for (const singlePutBytesMax of [S3_LIMITS.singlePutBytesMax, 1000]) {
    objectStoreSuite(`at MINIODB_TEST_S3_URL, in parts above ${singlePutBytesMax} bytes`, async () => ({
      store: openObjectStore(url, {
        credentials: { accessKeyId, secretAccessKey },
        s3Limits: { ...s3Limits, singlePutBytesMax },
      }),
      prefix: `miniodb-suite-${randomUUID()}/`,
      close: async () => {},
    }));
  }
}

describe('S3ObjectStore against a server', () => {
  let server: S3Server;
  let store: ObjectStore;
  let dir: string;

  before(async () => {
    server = await startS3Server();
    store = openObjectStore(server.url, { credentials: server.credentials });
    dir = await mkdtemp(join(tmpdir(), 'miniodb-s3-test-'));
  });

  after(async () => {
    await store.close();
    await server.stop();
    await rm(dir, { recursive: true });
  });

  it('uploads a file of several parts, hash and metadata included', async () => {
    const path = join(dir, 'parts');
    const body = Buffer.alloc(70 * 2 ** 20, 'abcdefg');
    await writeFile(path, body);
    await store.putFile('parts', path, { sha256: sha256Of(body) });
    assert.deepEqual(await store.head('parts'), { sizeBytes: body.length, sha256: sha256Of(body) });
    assert.equal(await store.getFile('parts', join(dir, 'back'), { sha256: sha256Of(body) }), body.length);
  });

  it('leaves no parts behind when the whole has another hash', async () => {
    const path = join(dir, 'parts');
    await writeFile(path, Buffer.alloc(65 * 2 ** 20, 1));
    await assert.rejects(store.putFile('wrong', path, { sha256: sha256Of(Buffer.alloc(0)) }), {
      code: 'checksum_mismatch',
    });
    assert.equal(server.store.uploadsOpen, 0);
    assert.equal(await store.head('wrong'), undefined);
  });

  it('says that the bucket is missing, or makes it when asked to', async () => {
    const other = server.url.replace('olap-data', 'other-bucket');
    const plain = openObjectStore(other, { credentials: server.credentials });
    const missing = { kind: 'failed_precondition', code: 'bucket_missing' };
    await assert.rejects(plain.ensureReady(), missing);
    await assert.rejects(plain.get('x'), missing);
    const making = openObjectStore(other, { credentials: server.credentials, createBucket: true });
    await making.ensureReady();
    await plain.ensureReady();
    await plain.close();
    await making.close();
  });

  it('says that access is denied', async () => {
    const denied = { kind: 'permission_denied', code: 'object_store_denied' };
    for (const credentials of [
      { ...server.credentials, secretAccessKey: 'wrong' },
      { accessKeyId: 'nobody', secretAccessKey: 'wrong' },
    ]) {
      const stranger = openObjectStore(server.url, { credentials });
      await assert.rejects(stranger.ensureReady(), denied);
      await assert.rejects(stranger.get('x'), denied);
      await assert.rejects(
        stranger.put('x', Buffer.from('x'), { sha256: sha256Of(Buffer.from('x')) }),
        denied,
      );
      await stranger.close();
    }
  });
});

async function changeOneByte(path: string): Promise<void> {
  await using file = await open(path, 'r+');
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, 3);
  await file.write(Buffer.from([buffer[0]! ^ 1]), 0, 1, 3);
}
