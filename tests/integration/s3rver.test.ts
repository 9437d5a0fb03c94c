import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import S3rver from '@20minutes/s3rver';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import { openObjectStore } from '@miniodb/core/storage/open-store.ts';

/**
 * The S3 adapter against a server that somebody else wrote, as far as that one goes: calls on objects. It rejects
 * the current client's signatures of calls on the bucket, so the whole suite runs against testkit's own server and
 * against any endpoint that the environment names (object-store.test.ts).
 */
let directory: string;
let server: S3rver;
let store: ObjectStore;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'miniodb-s3rver-'));
  server = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    directory,
    configureBuckets: [{ name: 'olap-data' }],
  });
  const { port } = await server.run();
  store = openObjectStore(
    `s3://olap-data?endpoint=http://127.0.0.1:${port}&region=us-east-1&path_style=true`,
    {
      credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
    },
  );
});

after(async () => {
  await store.close();
  await server.close();
  await rm(directory, { recursive: true, force: true });
});

test('an object goes to an independent S3 server and comes back, whole and in part', async () => {
  const key = 'orders/caf~c3~a9/2024-01-05/1704412800000-a-b-1of1-c.parquet';
  const body = Buffer.from(Array.from({ length: 100_000 }, (_, n) => n % 251));
  const sha256 = createHash('sha256').update(body).digest('hex');
  const source = join(directory, 'source');
  await writeFile(source, body);

  await store.putFile(key, source, { sha256, contentType: 'application/vnd.apache.parquet' });
  assert.deepEqual(await store.head(key), { sizeBytes: body.length, sha256 });
  assert.deepEqual(Buffer.from(await store.get(key)), body);
  assert.deepEqual(
    Buffer.from(await store.get(key, { range: { offset: 99_990, lengthBytes: 100 } })),
    body.subarray(99_990),
  );
  const copy = join(directory, 'copy');
  assert.equal(await store.getFile(key, copy, { sha256 }), body.length);
  assert.deepEqual(await readFile(copy), body);
  await store.put(key, Buffer.from('other'), { sha256: createHash('sha256').update('other').digest('hex') });
  assert.equal(Buffer.from(await store.get(key)).toString(), 'other');
  await store.delete(key);
  await store.delete(key);
  assert.equal(await store.head(key), undefined);
  await assert.rejects(store.get(key), { kind: 'not_found', code: 'object_not_found' });
});
