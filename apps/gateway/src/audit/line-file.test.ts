import assert from 'node:assert/strict';
import { mkdtemp, readFile, rename, rm, stat, symlink, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { LineFile } from './line-file.ts';

let directory: string;
let path: string;
let lost: number;
let events: string[];
let opened: LineFile[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'miniodb-lines-'));
  path = join(directory, 'audit.log');
  lost = 0;
  events = [];
});

afterEach(async () => {
  for (const file of opened) await file.close();
  opened = [];
  await rm(directory, { recursive: true });
});

async function open(bufferBytesMax?: number): Promise<LineFile> {
  const log = silentLog();
  const note = (fields: { event: string }) => void events.push(fields.event);
  Object.assign(log, { error: note, info: note, warn: note });
  const onLost = (lines: number) => {
    lost += lines;
  };
  const options = { path, log, onLost, ...(bufferBytesMax !== undefined && { bufferBytesMax }) };
  const file = await LineFile.open(options);
  opened.push(file);
  return file;
}

const linesOf = async (file: string) => (await readFile(file, 'utf8')).split('\n').slice(0, -1);

test('every line is there in order when it is closed, and only the owner may read it', async () => {
  const file = await open();
  const lines = Array.from({ length: 10_000 }, (_, n) => `{"n":${n},"t":"ü"}`);
  for (const line of lines) file.write(line);
  await file.close();
  assert.deepEqual(await linesOf(path), lines);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal(lost, 0);
});

test('after a reopening lines go to the new file, and none are lost', async (context) => {
  const file = await open();
  file.write('before');
  await context.waitFor(async () => assert.equal((await linesOf(path)).length, 1));
  await rename(path, `${path}.1`);
  file.write('between');
  await context.waitFor(async () => assert.equal((await linesOf(`${path}.1`)).length, 2));
  file.reopen();
  await context.waitFor(() => stat(path));
  file.write('after');
  await file.close();
  assert.deepEqual(await linesOf(`${path}.1`), ['before', 'between']);
  assert.deepEqual(await linesOf(path), ['after']);
  assert.equal(lost, 0);
});

test('lines wait in the buffer while the destination is full, and go out when it has room again', async (context) => {
  await symlink('/dev/full', path);
  const file = await open();
  for (let n = 0; n < 100; n += 1) file.write(`${n}`);
  await context.waitFor(() => assert.ok(events.includes('audit_unwritable')));
  await unlink(path);
  await context.waitFor(async () => assert.equal((await linesOf(path)).length, 100), { timeout: 5_000 });
  await file.close();
  assert.equal(lost, 0);
  assert.deepEqual(events, ['audit_unwritable', 'audit_writable_again']);
});

test('what finds no room is counted and logged, and so is what is left at the end', async () => {
  await symlink('/dev/full', path);
  const file = await open(1_000);
  for (let n = 0; n < 30; n += 1) file.write('x'.repeat(99));
  assert.equal(lost, 20);
  await file.close();
  assert.equal(lost, 30);
  file.write('late');
  assert.equal(lost, 31);
  assert.ok(events.includes('audit_lost'));
});

test('a file that cannot be opened stops the start', async () => {
  path = join(directory, 'no', 'audit.log');
  await assert.rejects(open(), { kind: 'failed_precondition', code: 'audit_file_failed' });
});
