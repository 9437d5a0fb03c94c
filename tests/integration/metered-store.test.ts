import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { MeteredObjectStore } from '@miniodb/core/storage/metered.ts';
import { openObjectStore } from '@miniodb/core/storage/open-store.ts';
import { sha256Of } from '@miniodb/core/storage/sha256.ts';
import { objectStoreSuite } from '@miniodb/testkit/object-store-suite.ts';

objectStoreSuite('whose calls are counted', async () => {
  const root = await mkdtemp(join(tmpdir(), 'miniodb-store-'));
  return {
    store: new MeteredObjectStore(openObjectStore(pathToFileURL(root).href), { called: () => {} }),
    prefix: 'suite/',
    close: () => rm(root, { recursive: true }),
  };
});

test('every call of an object store is told of once, with its bytes and the code of its error', async () => {
  const root = await mkdtemp(join(tmpdir(), 'miniodb-store-'));
  const calls: unknown[] = [];
  const store = new MeteredObjectStore(openObjectStore(pathToFileURL(join(root, 'objects')).href), {
    called: (operation, seconds, bytes, code) => {
      assert.ok(seconds >= 0);
      calls.push([operation, bytes, code]);
    },
  });
  const body = Buffer.from('12345');
  const options = { sha256: sha256Of(body) };
  const local = join(root, 'local');
  try {
    await store.ensureReady();
    await writeFile(local, body);
    await store.put('a/x', body, options);
    await store.putFile('a/y', local, options);
    await store.get('a/x', { range: { offset: 1, lengthBytes: 2 } });
    await store.getFile('a/y', local);
    await store.head('a/none');
    await assert.rejects(store.get('a/none'), { code: 'object_not_found' });
    for await (const _ of store.list('a/')) break;
    await store.delete('a/x');
    assert.deepEqual(calls, [
      ['put', 5, undefined],
      ['put_file', 5, undefined],
      ['get', 2, undefined],
      ['get_file', 5, undefined],
      ['head', 0, undefined],
      ['get', 0, 'object_not_found'],
      ['list', 0, undefined],
      ['delete', 0, undefined],
    ]);
  } finally {
    await store.close();
    await rm(root, { recursive: true });
  }
});
