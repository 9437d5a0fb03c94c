import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { decodeManifest, encodeManifest } from '@miniodb/core/backup/manifest.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

const ROWS = 50_000;
const DAYS = ['2026-01-05', '2026-01-06'];

let cluster: TestCluster;
let backupDir: string;

const start = () =>
  startTestCluster({ flushers: 2, env: { MINIODB_BACKUP_URL: pathToFileURL(backupDir).href } });

before(async () => {
  backupDir = await mkdtemp(join(tmpdir(), 'miniodb-backups-'));
  cluster = await start();
});

after(async () => {
  await cluster?.stop();
  await rm(backupDir, { recursive: true, force: true });
});

interface Task {
  readonly id: string;
  readonly state: string;
  readonly result: { readonly rows: number; readonly files: number; readonly copied_bytes: number };
}

async function insert(table: string, from: number, count: number): Promise<void> {
  const rows = Array.from({ length: count }, (_, at) => {
    const n = from + at;
    const day = DAYS[n % 2]!;
    const time = `${day}T10:00:00.${String(n % 1000).padStart(3, '0')}Z`;
    // Beyond what a double holds: what is restored must be what was stored.
    const big = n % 7 === 0 ? '9007199254740993' : String(n / 3);
    const payload = `{"n":${n},"text":"row ${n}","big":${big},"tags":[${n % 5}]}`;
    return `{"id":"id-${n % 400}","timestamp":"${time}","payload":${payload}}`;
  });
  const response = await fetch(`${cluster.restUrl}/v1/tables/${table}/rows`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: rows.join('\n'),
  });
  assert.equal(response.status, 200, await response.text());
}

async function create(table: string, config: object = {}): Promise<void> {
  const answer = await cluster.rest('POST', '/v1/tables', { table_name: table, config });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

async function task(path: string, body: object): Promise<Task> {
  const answer = await cluster.rest('POST', path, body);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.equal(answer.body.success, true, JSON.stringify(answer.body));
  return answer.body.task as Task;
}

const backup = (table: string) => task('/v1/backup/trigger', { table });
const recover = (body: object) => task('/v1/backup/recover', body);

async function refused(body: object): Promise<unknown> {
  const answer = await cluster.rest('POST', '/v1/backup/recover', body);
  assert.notEqual(answer.status, 200, JSON.stringify(answer.body));
  return answer.body.code;
}

/** The same for the same rows, in whatever order and files they are. */
async function checksum(table: string): Promise<unknown> {
  const sql = `SELECT count(*) AS n, bit_xor(hash(id || '|' || timestamp::VARCHAR || '|' || payload::VARCHAR)) AS x FROM ${table}`;
  return (await cluster.query(sql))[0];
}

async function flushed(table: string): Promise<void> {
  await waitFor(`${table} is flushed`, async () => (await cluster.pendingRows(table)) === 0);
}

async function manifestFile(table: string, id: string): Promise<string> {
  return join(backupDir, '~backups', table, `${id}.json`);
}

test('a table comes back whole, pending rows and all, where Redis and every object are lost', async () => {
  await create('events', {
    buffer_size: 5_000,
    shards: 3,
    properties: { owner: 'me' },
    keep_raw_payload: true,
  });
  for (let from = 0; from < ROWS - 1_000; from += 7_000) {
    await insert('events', from, Math.min(7_000, ROWS - 1_000 - from));
  }
  const answer = await cluster.rest('POST', '/v1/tables/events/flush', { wait: true });
  assert.equal(answer.body.flushed, true, JSON.stringify(answer.body));
  await cluster.rest('PATCH', '/v1/tables/events', { config: { flush_paused: true } });
  await insert('events', ROWS - 1_000, 1_000);
  assert.ok((await cluster.pendingRows('events')) >= 1_000);
  const before = await checksum('events');
  const { id, result } = await backup('events');
  assert.equal(result.rows, ROWS);

  await cluster.stop();
  cluster = await start();

  const restored = await recover({ table: 'events' });
  assert.equal(restored.result.rows, ROWS);
  assert.deepEqual(await checksum('events'), before);
  const { body } = await cluster.rest('GET', '/v1/tables/events');
  const info = body.table_info as { config: Record<string, unknown> };
  assert.equal(info.config.shards, 3);
  assert.deepEqual(info.config.properties, { owner: 'me' });
  const stats = body.stats as Record<string, unknown>;
  assert.equal(stats.record_count, ROWS);
  assert.equal(stats.oldest_record, '2026-01-05T10:00:00.000000Z');
  const listed = await cluster.rest('GET', '/v1/tables/events/backups');
  assert.deepEqual(
    (listed.body.backups as { id: string; rows: number }[]).map((each) => [each.id, each.rows]),
    [[id, ROWS]],
  );
  // It is a table like any other.
  await cluster.rest('PATCH', '/v1/tables/events', { config: { flush_paused: false } });
  await insert('events', ROWS, 10);
  assert.equal(await cluster.count('events'), ROWS + 10);
});

test('a backup can be restored as another table, and neither touches the other', async () => {
  await create('source', { buffer_size: 10 });
  await insert('source', 0, 500);
  await flushed('source');
  const { id } = await backup('source');
  const before = await checksum('source');
  await recover({ table: 'source', backup: id, target: 'copy' });
  assert.deepEqual(await checksum('copy'), before);
  await cluster.rest('DELETE', '/v1/tables/source?cascade=true');
  assert.deepEqual(await checksum('copy'), before);
});

test('a table with rows is only restored into with replace, which drops them, or append, which does not', async () => {
  await create('full', { buffer_size: 10 });
  await insert('full', 0, 100);
  await backup('full');
  await insert('full', 1_000, 50);
  assert.equal(await refused({ table: 'full' }), 'table_not_empty');
  assert.equal(await cluster.count('full'), 150);
  await recover({ table: 'full', mode: 'append' });
  assert.equal(await cluster.count('full'), 250);
  await recover({ table: 'full', force_overwrite: true });
  assert.equal(await cluster.count('full'), 100);
});

test('files that an earlier backup has are not copied again', async () => {
  await create('grown', { buffer_size: 10, shards: 1 });
  await insert('grown', 0, 300);
  await flushed('grown');
  const first = await backup('grown');
  assert.ok(first.result.copied_bytes > 0);
  const second = await backup('grown');
  assert.equal(second.result.copied_bytes, 0);
  assert.equal(second.result.files, first.result.files);
});

test('rows of a smaller table are found after they are restored into a larger backup, and the other way round', async () => {
  await create('narrow', { shards: 1, buffer_size: 10 });
  await create('wide', { shards: 4, buffer_size: 10 });
  await insert('narrow', 0, 200);
  await insert('wide', 200, 200);
  await backup('narrow');
  await backup('wide');
  await recover({ table: 'wide', target: 'narrow', mode: 'append' });
  assert.equal(await cluster.count('narrow'), 400);
  // Whoever asks which objects are in the index asks in the shards that the table has.
  const { body } = await cluster.rest('GET', '/v1/tables/narrow');
  assert.equal((body.table_info as { config: { shards: number } }).config.shards, 4);
  const found = await cluster.query(`SELECT count(*) AS n FROM narrow WHERE id = 'id-201'`);
  assert.equal(found[0]!.n, 1);
  await insert('narrow', 400, 10);
  assert.equal(await cluster.count('narrow'), 410);
});

test('a damaged manifest, a missing object and a damaged one are refused by name before anything is dropped', async () => {
  await create('hurt', { buffer_size: 10, shards: 1 });
  await insert('hurt', 0, 100);
  await flushed('hurt');
  const { id } = await backup('hurt');
  const file = await manifestFile('hurt', id);
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace('"rows":100', '"rows":101'));
  assert.equal(await refused({ table: 'hurt', mode: 'replace' }), 'backup_manifest_damaged');
  const { body } = await cluster.rest('GET', '/v1/tables/hurt/backups');
  assert.equal((body.backups as { flaw: string }[])[0]!.flaw, 'backup_manifest_damaged');
  await writeFile(file, text);
  const objects = join(backupDir, '~backups/hurt/objects');
  const [object] = await readdir(objects);
  const bytes = await readFile(join(objects, object!));
  await writeFile(join(objects, object!), Buffer.concat([bytes.subarray(0, -1), Buffer.from([0])]));
  assert.equal(await refused({ table: 'hurt', mode: 'replace' }), 'backup_object_damaged');
  await rm(join(objects, object!));
  assert.equal(await refused({ table: 'hurt', mode: 'replace' }), 'backup_object_missing');
  assert.equal(await cluster.count('hurt'), 100);
});

test('a manifest that says something else than the footers of its files is refused, though its hash fits', async () => {
  await create('lied', { buffer_size: 10, shards: 1 });
  await insert('lied', 0, 40);
  await flushed('lied');
  const { id } = await backup('lied');
  const file = await manifestFile('lied', id);
  const manifest = decodeManifest(await readFile(file), 'lied', id);
  const [first, ...others] = manifest.files;
  const { format: _, ...rest } = manifest;
  const forge = async (entry: object, rows: number) =>
    writeFile(
      file,
      encodeManifest({
        ...rest,
        files: [{ ...first!, entry: { ...first!.entry, ...entry } }, ...others],
        totals: { ...rest.totals, rows: rest.totals.rows + rows },
      }),
    );
  await forge({ rows: first!.entry.rows + 1 }, 1);
  assert.equal(await refused({ table: 'lied', target: 'lied_2' }), 'backup_object_invalid');
  await forge({ columns: [['other', 'int53']] }, 0);
  assert.equal(await refused({ table: 'lied', target: 'lied_3' }), 'backup_object_invalid');
  assert.equal(await cluster.count('lied_2'), 0);
});

test('under concurrent writes a backup has whole batches, and of one writer a beginning of its writes', async () => {
  await create('busy', { buffer_size: 50, shards: 3, flush_interval_seconds: 1 });
  let isOver = false;
  let written = 0;
  const writer = (async () => {
    for (; !isOver; written += 1) await insert('busy', written * 20, 20);
  })();
  await waitFor('there are rows', () => written > 10);
  const ids: string[] = [];
  for (let round = 0; round < 4; round += 1) ids.push((await backup('busy')).id);
  isOver = true;
  await writer;
  let last = 0;
  for (const [at, id] of ids.entries()) {
    await recover({ table: 'busy', backup: id, target: `busy_${at}` });
    const [row] = await cluster.query(
      `SELECT count(*) AS n, count(DISTINCT n) AS d, max(n) AS m FROM busy_${at}`,
    );
    const { n, d, m } = row as { n: number; d: number; m: number };
    // Rows 0 to m, each once: nothing torn, nothing left out in between.
    assert.deepEqual([n, d, n % 20], [m + 1, m + 1, 0]);
    assert.ok(n >= last);
    last = n;
  }
});

test('backup and restore over gRPC say how many files there were, and which', async () => {
  await create('rpc', { buffer_size: 10, shards: 1 });
  await insert('rpc', 0, 50);
  await flushed('rpc');
  const made = await cluster.grpc.triggerBackup({ id: '', day: '', table: 'rpc' });
  assert.equal(made.success, true);
  assert.ok(made.files_backed_up > 0);
  const recovered = await cluster.grpc.recoverData({
    recovery_mode: undefined,
    force_overwrite: true,
    table: 'rpc',
  });
  assert.equal(recovered.files_recovered, made.files_backed_up);
  assert.equal(recovered.recovered_keys.length, made.files_backed_up);
  assert.ok(recovered.recovered_keys.every((key) => key.startsWith('rpc/')));
  assert.equal(await cluster.count('rpc'), 50);
  await assert.rejects(
    cluster.grpc.recoverData({
      recovery_mode: { $case: 'node_id', value: 'n1' },
      force_overwrite: false,
      table: 'rpc',
    }),
    (error: { code?: string }) => error.code === 'node_recovery_unsupported',
  );
});

test('what is not there is said by name: a table, a backup, a task', async () => {
  assert.equal(
    (await cluster.rest('POST', '/v1/backup/trigger', { table: 'nobody' })).body.code,
    'table_not_found',
  );
  assert.equal(await refused({ table: 'nobody' }), 'backup_not_found');
  assert.equal(await refused({ table: 'nobody', backup: '../../x' }), 'invalid_backup_id');
  assert.equal(
    (await cluster.rest('GET', '/v1/backups/backup-20260101-000000-abcdef')).body.code,
    'task_not_found',
  );
  assert.equal(
    (await cluster.rest('POST', '/v1/backup/trigger', { table: 'rpc', day: '2026-02-30' })).body.code,
    'invalid_day',
  );
});

/** The command line as people run it. */
async function miniodb(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(join(import.meta.dirname, '../../miniodb'), [...args, '--url', cluster.restUrl]);
  let [out, err] = ['', ''];
  child.stdout.on('data', (bytes: Buffer) => {
    out += bytes.toString();
  });
  child.stderr.on('data', (bytes: Buffer) => {
    err += bytes.toString();
  });
  const [code] = (await once(child, 'close')) as [number];
  return { code, out, err };
}

test('the command line backs up, lists and restores, and its exit code says whether it did', async () => {
  await create('typed', { buffer_size: 10, shards: 1 });
  await insert('typed', 0, 30);
  const made = await miniodb('data', 'backup', '--table=typed');
  assert.equal(made.code, 0, made.err);
  const [, id] = /^(backup-\d{8}-\d{6}-[0-9a-f]{6}): 30 rows in /.exec(made.out) ?? [];
  assert.ok(id !== undefined, made.out);
  const listed = await miniodb('data', 'backups', '--table=typed');
  assert.match(listed.out, new RegExp(`${id}.* 30 .*everything`));
  const day = id.slice(0, 'backup-20240115'.length);
  const restored = await miniodb(
    'data',
    'restore',
    '--table=typed',
    `--from-backup=${day}`,
    '--to-table=typed_2',
  );
  assert.equal(restored.code, 0, restored.err);
  assert.equal(await cluster.count('typed_2'), 30);
  const refusedOne = await miniodb('data', 'restore', '--table=typed', '--json');
  assert.notEqual(refusedOne.code, 0);
  assert.equal((JSON.parse(refusedOne.err) as { code: string }).code, 'table_not_empty');
  const wrong = await miniodb('data', 'restore', '--table=typed', '--from-backup=../x');
  assert.equal(wrong.code, 2);
});
