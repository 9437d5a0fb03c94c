import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import { sha256Of } from '@miniodb/core/storage/sha256.ts';
import { encodeKeyPart } from '@miniodb/core/table/key-codec.ts';

export interface StoreUnderTest {
  /** With a page size of LIST_PAGE_KEYS where lists have pages. */
  readonly store: ObjectStore;
  /** All keys of the suite begin with it; ends with a slash. Removed with all below it at the end. */
  readonly prefix: string;
  /** Changes a byte of a stored object behind the store's back; absent where nobody can. */
  readonly corrupt?: (key: string) => Promise<void>;
  close(): Promise<void>;
}

export const LIST_PAGE_KEYS = 7;

const MIB = 2 ** 20;

/** What every adapter of the ObjectStore port must do. */
export function objectStoreSuite(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`the object store port, ${name}`, () => {
    let subject: StoreUnderTest;
    let store: ObjectStore;
    let dir: string;
    const key = (rest: string) => subject.prefix + rest;
    const local = (file: string) => join(dir, file);

    before(async () => {
      subject = await open();
      store = subject.store;
      dir = await mkdtemp(join(tmpdir(), 'miniodb-suite-'));
      await store.ensureReady();
    });

    after(async () => {
      try {
        for (const stored of await keysBelow(store, subject.prefix)) await store.delete(stored);
      } finally {
        await store.close();
        await subject.close();
        await rm(dir, { recursive: true });
      }
    });

    async function put(rest: string, body: Uint8Array | string): Promise<string> {
      const bytes = Buffer.from(body);
      await store.put(key(rest), bytes, { sha256: sha256Of(bytes) });
      return key(rest);
    }

    async function localFile(file: string, body: Uint8Array): Promise<string> {
      await writeFile(local(file), body);
      return local(file);
    }

    it('is ready again and again', async () => {
      await store.ensureReady();
      await store.ensureReady();
    });

    it('gives back what was put, with its size and hash', async () => {
      const stored = await put('T/user-1/2024-01-15/1705312800000-x.parquet', 'some bytes');
      assert.equal(Buffer.from(await store.get(stored)).toString(), 'some bytes');
      assert.deepEqual(await store.head(stored), {
        sizeBytes: 10,
        sha256: sha256Of(Buffer.from('some bytes')),
      });
      assert.equal(await store.getFile(stored, local('got')), 10);
      assert.equal(await readFile(local('got'), 'utf8'), 'some bytes');
    });

    it('replaces an object whole, by a shorter one too', async () => {
      const stored = await put('replaced', 'the first and longer one');
      await put('replaced', 'second');
      assert.equal(Buffer.from(await store.get(stored)).toString(), 'second');
      assert.equal((await store.head(stored))?.sizeBytes, 6);
    });

    it('holds an empty object', async () => {
      const stored = await put('empty', '');
      assert.equal((await store.get(stored)).length, 0);
      assert.equal((await store.get(stored, { range: { offset: 0, lengthBytes: 5 } })).length, 0);
      assert.equal(await store.getFile(stored, local('empty'), { sha256: sha256Of(Buffer.alloc(0)) }), 0);
      assert.equal((await store.head(stored))?.sizeBytes, 0);
    });

    it('moves 20 MiB between local files and the store', async () => {
      const body = randomBytes(20 * MIB);
      const sha256 = sha256Of(body);
      await store.putFile(key('large'), await localFile('large', body), { sha256 });
      assert.deepEqual(await store.head(key('large')), { sizeBytes: body.length, sha256 });
      assert.equal(await store.getFile(key('large'), local('large-back'), { sha256 }), body.length);
      assert.ok(body.equals(await readFile(local('large-back'))));
    });

    it('gives ranges, cut to what is there', async () => {
      const stored = await put('ranges', '0123456789');
      const range = async (offset: number, lengthBytes: number) =>
        Buffer.from(await store.get(stored, { range: { offset, lengthBytes } })).toString();
      assert.equal(await range(0, 4), '0123');
      assert.equal(await range(4, 1), '4');
      assert.equal(await range(7, 100), '789');
      assert.equal(await range(9, 1), '9');
      assert.equal(await range(10, 1), '');
      assert.equal(await range(5000, 5), '');
      assert.equal(await range(3, 0), '');
      for (const [offset, lengthBytes] of [
        [-1, 5],
        [0.5, 5],
        [0, -1],
        [0, Number.NaN],
      ] as const) {
        await assert.rejects(store.get(stored, { range: { offset, lengthBytes } }), { code: 'bad_range' });
      }
    });

    it('says of a missing object that it is not there', async () => {
      const missing = { kind: 'not_found', code: 'object_not_found' };
      await assert.rejects(store.get(key('missing')), missing);
      await assert.rejects(store.get(key('missing'), { range: { offset: 0, lengthBytes: 0 } }), missing);
      await assert.rejects(store.getFile(key('missing/x'), local('missing')), missing);
      await assert.rejects(access(local('missing')));
      assert.equal(await store.head(key('missing')), undefined);
      assert.equal(await store.head(key('ranges/below/an/object')), undefined);
    });

    it('deletes once and does not mind a second time', async () => {
      const stored = await put('deleted/soon', 'x');
      await store.delete(stored);
      assert.equal(await store.head(stored), undefined);
      await store.delete(stored);
      await store.delete(key('never/was'));
      await put('deleted/soon', 'back');
      assert.equal(Buffer.from(await store.get(stored)).toString(), 'back');
    });

    it('lists in key order, by prefix, across pages', async () => {
      // Around the slash, in ASCII: `.` and `-` come before it, digits and `~` after. Never `a` and `a/b`, which a
      // directory cannot both hold.
      const rests = ['a.x', 'a-x', 'a/b', 'a/b~2f', 'a~20b', 'ab/c', 'b/~s03/x', 'b-/y', 'B/z', 'a0'].concat(
        Array.from({ length: 3 * LIST_PAGE_KEYS }, (_, at) => `many/${at}`),
      );
      for (const rest of rests) await put(`list/${rest}`, rest);
      const sorted = rests.map((rest) => key(`list/${rest}`)).sort();
      assert.deepEqual(await keysBelow(store, key('list/')), sorted);
      for (const prefix of ['list/a', 'list/a/', 'list/many/1', 'list/b', 'list/nothing', 'li']) {
        const expected = sorted.filter((stored) => stored.startsWith(key(prefix)));
        assert.deepEqual(await keysBelow(store, key(prefix)), expected, prefix);
      }
      for await (const { key: stored, sizeBytes } of store.list(key('list/ab/'))) {
        assert.deepEqual([stored, sizeBytes], [key('list/ab/c'), 4]);
      }
    });

    it('holds every id that the key codec can make, and long and unusual keys', async () => {
      const ids = [
        '..',
        'a/b',
        ' x ',
        '日本語',
        '😀'.repeat(30),
        '{tag}:*?[a-z]',
        '%2e%2e%2f',
        'e\u0301',
        'x'.repeat(1024),
      ];
      const parts = ids.map(encodeKeyPart).concat(['year=2024', 'a+b', 'a b', 'é', 'x'.repeat(255)]);
      for (const part of parts) {
        await put(`ids/${part}/o`, part);
        assert.equal(Buffer.from(await store.get(key(`ids/${part}/o`))).toString(), part);
      }
      const listed = await keysBelow(store, key('ids/'));
      assert.deepEqual(new Set(listed), new Set(parts.map((part) => key(`ids/${part}/o`))));
    });

    it('refuses keys that not every store can hold', async () => {
      const bad = [
        '',
        '/a',
        'a//b',
        'a/',
        '.',
        '..',
        'a/../b',
        './a',
        '.miniodb/tmp/x',
        'a\0b',
        'a\nb',
        '\ud800',
      ];
      bad.push('x'.repeat(256), 'é'.repeat(128), `${'x/'.repeat(512)}x`);
      const refused = { kind: 'invalid_argument', code: 'bad_object_key' };
      for (const badKey of bad) {
        await assert.rejects(
          store.put(badKey, Buffer.from('x'), { sha256: sha256Of(Buffer.from('x')) }),
          refused,
          badKey,
        );
        await assert.rejects(store.get(badKey), refused);
        await assert.rejects(store.getFile(badKey, local('bad')), refused);
        await assert.rejects(store.head(badKey), refused);
        await assert.rejects(store.delete(badKey), refused);
      }
      await assert.rejects(keysBelow(store, '../'), refused);
      await assert.rejects(keysBelow(store, '/etc'), refused);
    });

    it('stores nothing whose hash is not the promised one', async () => {
      const wrong = { kind: 'data_corrupted', code: 'checksum_mismatch' };
      const sha256 = sha256Of(Buffer.from('other'));
      await assert.rejects(store.put(key('wrong'), Buffer.from('bytes'), { sha256 }), wrong);
      await assert.rejects(
        store.putFile(key('wrong'), await localFile('wrong', Buffer.from('bytes')), { sha256 }),
        wrong,
      );
      await assert.rejects(store.put(key('wrong'), Buffer.from('x'), { sha256: 'ABC' }), {
        code: 'bad_sha256',
      });
      assert.equal(await store.head(key('wrong')), undefined);
    });

    it('notices that a stored object has changed and keeps no copy of it', async (t) => {
      if (subject.corrupt === undefined) return t.skip('nobody can change an object there');
      const stored = await put('corrupted', 'these bytes will change');
      const sha256 = sha256Of(Buffer.from('these bytes will change'));
      await store.get(stored, { sha256 });
      await subject.corrupt(stored);
      const wrong = { kind: 'data_corrupted', code: 'checksum_mismatch' };
      await assert.rejects(store.get(stored, { sha256 }), wrong);
      await assert.rejects(store.getFile(stored, local('corrupted'), { sha256 }), wrong);
      await assert.rejects(access(local('corrupted')));
    });

    it('blames the local file, not the store, for what is wrong with it', async () => {
      const stored = await put('local', 'x');
      const failed = { kind: 'internal', code: 'local_file_failed' };
      await assert.rejects(store.getFile(stored, join(dir, 'no', 'such', 'folder')), failed);
      await assert.rejects(
        store.putFile(key('no-source'), local('no-source'), { sha256: sha256Of(Buffer.alloc(0)) }),
        failed,
      );
      assert.equal(await store.head(key('no-source')), undefined);
    });

    it('does nothing for a signal that has fired', async () => {
      const signal = AbortSignal.abort();
      const cancelled = { kind: 'cancelled', code: 'cancelled' };
      const sha256 = sha256Of(Buffer.from('x'));
      const stored = await put('kept', 'x');
      const source = await localFile('kept', Buffer.from('x'));
      await assert.rejects(store.ensureReady(signal), cancelled);
      await assert.rejects(store.put(key('aborted'), Buffer.from('x'), { sha256, signal }), cancelled);
      await assert.rejects(store.putFile(key('aborted'), source, { sha256, signal }), cancelled);
      await assert.rejects(store.get(stored, { signal }), cancelled);
      await assert.rejects(store.getFile(stored, local('aborted'), { signal }), cancelled);
      await assert.rejects(store.head(stored, signal), cancelled);
      await assert.rejects(store.delete(stored, signal), cancelled);
      await assert.rejects(keysBelow(store, subject.prefix, signal), cancelled);
      await assert.rejects(access(local('aborted')));
      assert.equal(await store.head(key('aborted')), undefined);
      assert.notEqual(await store.head(stored), undefined);
    });

    it('stops in the middle of a transfer when the signal fires', async () => {
      const body = randomBytes(20 * MIB);
      const sha256 = sha256Of(body);
      const source = await localFile('stopped', body);
      const cancelled = { kind: 'cancelled', code: 'cancelled' };

      const putting = new AbortController();
      const put = store.putFile(key('stopped'), source, { sha256, signal: putting.signal });
      await nextTurn();
      putting.abort();
      await assert.rejects(put, cancelled);
      assert.equal(await store.head(key('stopped')), undefined);

      await store.putFile(key('stopped'), source, { sha256 });
      const getting = new AbortController();
      const get = store.getFile(key('stopped'), local('half'), { signal: getting.signal });
      await nextTurn();
      getting.abort();
      await assert.rejects(get, cancelled);
      await assert.rejects(access(local('half')));
    });

    it('lets one of several puts of one key win whole', async () => {
      const bodies = Array.from({ length: 8 }, (_, at) => Buffer.alloc(MIB + at, at));
      await Promise.all(bodies.map((body) => put('contended/key', body)));
      const winner = await store.get(key('contended/key'));
      const won = bodies.find((body) => body.equals(winner));
      assert.ok(won !== undefined);
      assert.deepEqual(await store.head(key('contended/key')), {
        sizeBytes: won.length,
        sha256: sha256Of(won),
      });
    });

    it('never shows a put half done', async () => {
      const small = Buffer.from('before');
      const large = randomBytes(20 * MIB);
      const source = await localFile('atomic', large);
      const whole = new Map([small, large].map((body) => [body.length, sha256Of(body)]));
      await put('atomic', small);
      let done = false;
      const replaced = store.putFile(key('atomic'), source, { sha256: sha256Of(large) }).finally(() => {
        done = true;
      });
      while (!done) {
        const head = await store.head(key('atomic'));
        assert.equal(head?.sha256, whole.get(head?.sizeBytes ?? -1));
        assert.deepEqual(await keysBelow(store, key('atomic')), [key('atomic')]);
      }
      await replaced;
      assert.equal((await store.head(key('atomic')))?.sizeBytes, large.length);
    });

    it('loses no put to deletes that empty its folder', async () => {
      for (let round = 0; round < 20; round++) {
        const folder = `shared/${round % 3}/day`;
        await put(`${folder}/old`, 'x');
        await Promise.all([
          store.delete(key(`${folder}/old`)),
          put(`${folder}/new`, `${round}`),
          store.delete(key(`${folder}/never`)),
        ]);
        assert.equal(Buffer.from(await store.get(key(`${folder}/new`))).toString(), `${round}`);
        await store.delete(key(`${folder}/new`));
      }
      assert.deepEqual(await keysBelow(store, key('shared/')), []);
    });
  });
}

async function keysBelow(store: ObjectStore, prefix: string, signal?: AbortSignal): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix, signal)) keys.push(key);
  return keys;
}
