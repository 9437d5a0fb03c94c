import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { FileCache } from './file-cache.ts';

let directory: string;
let cache: FileCache;
let fetches: string[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'miniodb-cache-'));
  cache = new FileCache(join(directory, 'files'), 100);
  await cache.open();
  fetches = [];
});

afterEach(() => rm(directory, { recursive: true, force: true }));

const lease = (name: string, sizeBytes: number) =>
  cache.lease(name, sizeBytes, async (path) => {
    fetches.push(name);
    await writeFile(path, name);
  });

test('a file is fetched once, however many ask for it at the same time', async () => {
  const leases = await Promise.all([lease('a', 10), lease('a', 10), lease('a', 10)]);
  assert.deepEqual(fetches, ['a']);
  assert.equal(new Set(leases.map(({ path }) => path)).size, 1);
  assert.equal(await readFile(leases[0]!.path, 'utf8'), 'a');
  assert.equal(cache.bytes, 10);
});

test('the file that was used longest ago makes room, unless it is leased', async () => {
  const a = await lease('a', 40);
  const b = await lease('b', 40);
  b.release();
  a.release();
  (await lease('a', 40)).release();
  const c = await lease('c', 40);
  assert.deepEqual(fetches, ['a', 'b', 'c']);
  assert.ok(cache.bytes <= 100);
  assert.ok(existsSync(a.path));
  c.release();
  const held = await lease('a', 40);
  await lease('d', 40);
  assert.ok(existsSync(held.path));
  await assert.rejects(lease('e', 40), { code: 'cache_full' });
  held.release();
  held.release();
  await lease('e', 40);
  assert.deepEqual(fetches, ['a', 'b', 'c', 'd', 'e']);
});

test('a fetch that fails is nobody’s, and the next one tries again', async () => {
  const failing = () => cache.lease('a', 50, () => Promise.reject(new Error('away')));
  const outcomes = await Promise.allSettled([failing(), failing()]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.equal(cache.bytes, 0);
  await lease('a', 50);
  assert.deepEqual(fetches, ['a']);
});

test('a copy that somebody removed is fetched again once it is asked about, the others are kept', async () => {
  const [a, b] = await Promise.all([lease('a', 10), lease('b', 10)]);
  await rm(join(directory, 'files'), { recursive: true });
  await mkdir(join(directory, 'files'));
  await writeFile(b.path, 'b');
  await cache.forgetMissing(new Set([a.path, b.path]));
  assert.equal(cache.bytes, 10);
  a.release();
  const again = await lease('a', 10);
  assert.equal(await readFile(again.path, 'utf8'), 'a');
  await lease('b', 10);
  assert.deepEqual(fetches, ['a', 'b', 'a']);
});

test('what can never fit is refused for good, not for now', () => {
  cache.requireFits(100);
  assert.throws(() => cache.requireFits(101), {
    kind: 'failed_precondition',
    code: 'cache_too_small',
    message: /MINIODB_CACHE_MIB/,
  });
});

test('what an earlier process left is removed', async () => {
  const { path } = await lease('a', 10);
  await new FileCache(join(directory, 'files'), 100).open();
  assert.equal(existsSync(path), false);
});
