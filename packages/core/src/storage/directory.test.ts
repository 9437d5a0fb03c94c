import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  access,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  rmdir,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { DirectoryObjectStore, LEFTOVER_AGE_MS } from './directory.ts';
import { sha256Of } from './sha256.ts';

const BODY = Buffer.from('body');
const OPTIONS = { sha256: sha256Of(BODY) };

describe('DirectoryObjectStore', () => {
  let dir: string;
  let root: string;

  beforeEach(async () => {
    dir = await realpath(await mkdtemp(join(tmpdir(), 'miniodb-directory-')));
    root = join(dir, 'olap-data');
  });

  afterEach(() => rm(dir, { recursive: true }));

  async function ready(store = new DirectoryObjectStore(root)): Promise<DirectoryObjectStore> {
    await store.ensureReady();
    return store;
  }

  const leftovers = () => readdir(join(root, '.miniodb', 'tmp'));

  it('keeps an object as the plain file of its key', async () => {
    const store = await ready();
    await store.put('T/id/2024-01-15/x.parquet', BODY, OPTIONS);
    assert.deepEqual(await readFile(join(root, 'T/id/2024-01-15/x.parquet')), BODY);
    assert.equal(store.location, `file://${root}`);
  });

  it('fsyncs the bytes before they are visible, and then every folder on the way up', async () => {
    const synced: string[] = [];
    const visible: boolean[] = [];
    const store = await ready();
    const watched = new DirectoryObjectStore(root, {
      async sync(handle, path) {
        await handle.sync();
        synced.push(relative(root, path));
        visible.push((await store.head('T/id/day/x')) !== undefined);
      },
    });
    await watched.put('T/id/day/x', BODY, OPTIONS);
    assert.match(synced[0]!, /^\.miniodb\/tmp\//);
    assert.deepEqual(synced.slice(1), ['T/id/day', 'T/id', 'T', '']);
    assert.deepEqual(visible, [false, true, true, true, true]);
  });

  it('fsyncs folders that another put has made', async () => {
    await (await ready()).put('T/id/day/first', BODY, OPTIONS);
    const synced: string[] = [];
    const watched = new DirectoryObjectStore(root, {
      async sync(_handle, path) {
        synced.push(relative(root, path));
      },
    });
    await watched.put('T/id/day/second', BODY, OPTIONS);
    assert.deepEqual(synced.slice(1), ['T/id/day', 'T/id', 'T', '']);
  });

  it('shows no object of a process that was killed between write and rename', async () => {
    const store = await ready();
    await store.put('T/kept', BODY, OPTIONS);
    const child = spawn(process.execPath, ['--input-type=module', '-e', PUT_AND_DIE, root], {
      stdio: 'inherit',
    });
    const [, signal] = await once(child, 'exit');
    assert.equal(signal, 'SIGKILL');
    assert.equal((await leftovers()).length, 1);
    assert.equal(await store.head('T/killed'), undefined);
    assert.deepEqual(await Array.fromAsync(store.list('')), [{ key: 'T/kept', sizeBytes: BODY.length }]);
  });

  it('removes what crashed puts left only when it is old', async () => {
    await ready();
    const temporary = (name: string) => join(root, '.miniodb', 'tmp', name);
    await writeFile(temporary('old'), 'x');
    await writeFile(temporary('young'), 'x');
    const twoAgesAgo = new Date(Date.now() - 2 * LEFTOVER_AGE_MS);
    await utimes(temporary('old'), twoAgesAgo, twoAgesAgo);
    await ready();
    assert.deepEqual(await leftovers(), ['young']);
    await ready(new DirectoryObjectStore(root, { now: () => Date.now() + LEFTOVER_AGE_MS + 1000 }));
    assert.deepEqual(await leftovers(), []);
  });

  it('leaves no temporary file behind when a put fails', async () => {
    const store = await ready();
    const failing = new DirectoryObjectStore(root, {
      sync: () => Promise.reject(Object.assign(new Error('disk'), { code: 'EIO' })),
    });
    await assert.rejects(failing.put('T/x', BODY, OPTIONS), {
      kind: 'unavailable',
      code: 'object_store_unavailable',
    });
    assert.deepEqual(await leftovers(), []);
    assert.equal(await store.head('T/x'), undefined);
  });

  it('stores nothing when the signal fires before the rename', async () => {
    const store = await ready();
    const controller = new AbortController();
    const aborting = new DirectoryObjectStore(root, { sync: async () => controller.abort() });
    await assert.rejects(aborting.put('T/x', BODY, { ...OPTIONS, signal: controller.signal }), {
      kind: 'cancelled',
    });
    assert.equal(await store.head('T/x'), undefined);
    assert.deepEqual(await leftovers(), []);
  });

  it('says so when the disk is full', async () => {
    await ready();
    const full = new DirectoryObjectStore(root, {
      sync: () => Promise.reject(Object.assign(new Error('disk'), { code: 'ENOSPC' })),
    });
    await assert.rejects(full.put('T/x', BODY, OPTIONS), {
      kind: 'resource_exhausted',
      code: 'object_store_full',
    });
  });

  it('follows no symbolic link out of the root, and makes nothing behind one', async () => {
    const store = await ready();
    const outside = join(dir, 'outside');
    await mkdir(outside);
    await writeFile(join(outside, 'secret'), 'secret');
    await symlink(outside, join(root, 'link'));
    await symlink(join(outside, 'secret'), join(root, 'secret'));
    const refused = { kind: 'permission_denied', code: 'object_store_symlink' };
    for (const key of ['link/secret', 'secret']) {
      await assert.rejects(store.get(key), refused);
      await assert.rejects(store.head(key), refused);
      await assert.rejects(store.getFile(key, join(dir, 'copy')), refused);
    }
    await assert.rejects(store.delete('link/secret'), refused);
    await assert.rejects(store.put('link/new', BODY, OPTIONS), refused);
    await assert.rejects(store.put('link/folder/new', BODY, OPTIONS), refused);
    assert.deepEqual(await Array.fromAsync(store.list('')), []);
    assert.deepEqual(await Array.fromAsync(store.list('link/')), []);
    await store.put('secret', BODY, OPTIONS); // replaces the link itself
    assert.deepEqual(await readdir(outside), ['secret']);
    assert.equal(await readFile(join(outside, 'secret'), 'utf8'), 'secret');
  });

  it('may itself be reached through a symbolic link', async () => {
    await mkdir(join(dir, 'elsewhere'));
    await symlink(join(dir, 'elsewhere'), root);
    const store = await ready();
    await store.put('T/x', BODY, OPTIONS);
    assert.deepEqual(await store.get('T/x'), BODY);
  });

  it('says that it cannot hold an object and objects below it', async () => {
    const store = await ready();
    const conflict = { kind: 'failed_precondition', code: 'object_key_conflict' };
    await store.put('a/b', BODY, OPTIONS);
    await assert.rejects(store.put('a', BODY, OPTIONS), conflict);
    await assert.rejects(store.put('a/b/c', BODY, OPTIONS), conflict);
    await assert.rejects(store.get('a'), { code: 'object_not_found' });
    await store.delete('a');
    assert.deepEqual(await store.get('a/b'), BODY);
  });

  it('removes the folders that a delete has emptied, and no others', async () => {
    const store = await ready();
    await store.put('T/id/day1/x', BODY, OPTIONS);
    await store.put('T/id/day2/x', BODY, OPTIONS);
    await store.delete('T/id/day1/x');
    assert.deepEqual(await readdir(join(root, 'T/id')), ['day2']);
    await store.delete('T/id/day2/x');
    await assert.rejects(access(join(root, 'T')));
    await access(root);
  });

  it('loses no put to others who remove its folder whenever it is empty', async () => {
    const store = await ready();
    let done = false;
    const removing = (async () => {
      for (; !done; await nextTurn()) await rmdir(join(root, 'T', 'day')).catch(() => {});
    })();
    try {
      for (let round = 0; round < 300; round++) {
        await store.put('T/day/x', BODY, OPTIONS);
        assert.deepEqual(await store.get('T/day/x'), BODY);
        await store.delete('T/day/x');
      }
    } finally {
      done = true;
      await removing;
    }
  });

  it('lists by UTF-8 bytes, not by UTF-16 units', async () => {
    const store = await ready();
    for (const key of ['😀', '\uffee', 'é', 'z']) await store.put(key, BODY, OPTIONS);
    const listed = await Array.fromAsync(store.list(''), ({ key }) => key);
    assert.deepEqual(listed, ['z', 'é', '\uffee', '😀']);
  });

  it('refuses to read more into memory than the limit', async () => {
    const store = await ready();
    await writeFile(join(root, 'large'), '');
    await truncate(join(root, 'large'), 2 ** 31);
    await assert.rejects(store.get('large'), { kind: 'invalid_argument', code: 'object_too_large' });
    assert.equal((await store.get('large', { range: { offset: 2 ** 30, lengthBytes: 8 } })).length, 8);
  });

  it('says that its folder is missing when nobody has made it', async () => {
    const missing = { kind: 'failed_precondition', code: 'bucket_missing' };
    const store = new DirectoryObjectStore(root);
    await assert.rejects(store.put('x', BODY, OPTIONS), missing);
    await assert.rejects(store.get('x'), missing);
    await store.ensureReady();
    await rm(root, { recursive: true });
    await assert.rejects(store.put('x', BODY, OPTIONS), missing);
  });
});

/** Dies where the temporary file would be fsynced, with all of its bytes written. */
const PUT_AND_DIE = `
  import { DirectoryObjectStore } from ${JSON.stringify(new URL('./directory.ts', import.meta.url).href)};
  import { sha256Of } from ${JSON.stringify(new URL('./sha256.ts', import.meta.url).href)};
  const store = new DirectoryObjectStore(process.argv[1], {
    sync: () => { process.kill(process.pid, 'SIGKILL'); return new Promise(() => {}); },
  });
  const body = Buffer.alloc(100_000, 'x');
  await store.put('T/killed', body, { sha256: sha256Of(body) });
`;
