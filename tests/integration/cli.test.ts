import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { newToken } from '@miniodb/core/auth/token.ts';
import { TokenStore } from '@miniodb/core/auth/token-store.ts';
import { freePort } from '@miniodb/local/ports.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

const MINIODB = join(import.meta.dirname, '../../miniodb');
const RUN_MS_MAX = 60_000;

const scratch = mkdtempSync(join(tmpdir(), 'miniodb-cli-'));
after(() => rmSync(scratch, { recursive: true }));

type Json = Record<string, unknown>;
type Environment = Readonly<Record<string, string>>;

interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Nothing of this process' own settings reaches the command. */
function environment(env: Environment): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('MINIODB_'));
  return { ...Object.fromEntries(own), ...env };
}

function start(args: readonly string[], env: Environment, program = MINIODB) {
  return spawn(program, args, { cwd: scratch, env: environment(env), timeout: RUN_MS_MAX });
}

function runWith(env: Environment, args: readonly string[], input = ''): Promise<Run> {
  return ended(start(args, env), input);
}

function ended(child: ReturnType<typeof start>, input = ''): Promise<Run> {
  const out = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    out.stderr += text;
  });
  // A command that does not read its input may be gone before it.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, ...out }));
  });
}

function exited(run: Run, status: number): Run {
  assert.equal(run.status, status, `${run.stdout}\n${run.stderr}`);
  return run;
}

const json = (run: Run) => JSON.parse(run.stdout) as Json;
/** The fields `label  value` of what people see. */
const field = (run: Run, label: string) => new RegExp(`^${label}  +(.*)$`, 'm').exec(run.stdout)?.[1];

function forPeople(run: Run): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  assert.doesNotMatch(run.stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  for (const line of run.stdout.split('\n')) {
    if (/^[┌│├└]/.test(line)) assert.ok(line.length <= 80, line);
  }
}

describe('against a cluster', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startTestCluster({ flushers: 1, configFile: 'none' });
  });
  after(() => cluster.stop());

  const miniodb = (...args: string[]) => runWith({ MINIODB_URL: cluster.restUrl }, args);
  const insert = (table: string, payloads: readonly Json[]) =>
    cluster.rest(
      'POST',
      `/v1/tables/${table}/rows`,
      payloads.map((payload, n) => ({ id: `id-${n}`, payload })),
    );

  test('table create makes a table with what was given, and says when it is there already', async () => {
    const made = exited(
      await miniodb(
        ...['table', 'create', 'made', '--buffer-size=10', '--flush-interval=1m', '--retention-days', '-1'],
        ...['--property', 'owner=ops', '--property=note=a=b', '--max-pending-bytes=64MiB', '--layout=packed'],
      ),
      0,
    );
    assert.equal(made.stdout, 'Table made is made.\n');
    const { table_info: info } = (await cluster.rest('GET', '/v1/tables/made')).body as {
      table_info: { config: Json; inherited: string[] };
    };
    const { buffer_size, flush_interval_seconds, retention_days, max_pending_bytes, layout } = info.config;
    assert.deepEqual(
      [buffer_size, flush_interval_seconds, retention_days, max_pending_bytes, layout],
      [10, 60, -1, 67_108_864, 'packed'],
    );
    assert.deepEqual(info.config.properties, { owner: 'ops', note: 'a=b' });
    assert.ok(info.inherited.includes('ack'));
    const again = exited(await miniodb('table', 'create', 'made'), 4);
    assert.equal(again.stderr, 'error: table made already exists (table_already_exists)\n');
    assert.deepEqual(json(exited(await miniodb('table', 'create', 'made', '--if-not-exists', '--json'), 0)), {
      success: true,
      message: '',
    });
    const bad = exited(await miniodb('table', 'create', 'bad', '--buffer-size=0'), 1);
    assert.match(bad.stderr, /^error: .*buffer_size.*\(invalid_table_config\)\n$/);
  });

  test('table list shows the tables of a pattern, and programs get the answer of the API', async () => {
    for (const name of ['list_a', 'list_b']) exited(await miniodb('table', 'create', name), 0);
    const shown = exited(await miniodb('table', 'list', '--pattern=list_*'), 0);
    forPeople(shown);
    assert.match(shown.stdout, /│ list_a │ active │ +1,000 │ +30 s │ 365 days │ never +│/);
    assert.match(shown.stdout, /\n2 tables\n$/);
    const all = json(exited(await miniodb('table', 'list', '--pattern=list_*', '--json'), 0));
    assert.deepEqual(all, (await cluster.rest('GET', '/v1/tables?pattern=list_*')).body);
    assert.equal(
      exited(await miniodb('table', 'list', '--pattern=none_*'), 0).stdout,
      'There are no such tables.\n',
    );
  });

  test('table describe and stats show what a table is and holds', async () => {
    exited(await miniodb('table', 'create', 'seen', '--flush-interval=1h', '--property=owner=\u001b[2J'), 0);
    await insert('seen', [{ n: 1, text: 'a' }, { n: 2 }]);
    const shown = exited(await miniodb('table', 'describe', 'seen'), 0);
    forPeople(shown);
    assert.equal(field(shown, 'rows'), '2');
    assert.equal(field(shown, 'pending'), '2 rows, <0.1 MiB');
    assert.match(shown.stdout, /│ flush_interval_seconds │ 3,600 s +│ table +│/);
    assert.match(shown.stdout, /│ buffer_size +│ 1,000 rows +│ default +│/);
    assert.match(shown.stdout, /│ n +│ BIGINT +│/);
    assert.deepEqual(
      json(exited(await miniodb('table', 'describe', 'seen', '--json'), 0)),
      (await cluster.rest('GET', '/v1/tables/seen')).body,
    );
    const stats = json(exited(await miniodb('table', 'stats', 'seen', '--json'), 0));
    assert.deepEqual([stats.name, stats.pending_rows, (stats.stats as Json).record_count], ['seen', 2, 2]);
    assert.equal(field(exited(await miniodb('table', 'stats', 'SEEN'), 0), 'files'), '0, 0 MiB');
    const absent = exited(await miniodb('table', 'describe', 'absent'), 3);
    assert.equal(absent.stderr, 'error: table absent does not exist (table_not_found)\n');
    const problem = JSON.parse(exited(await miniodb('table', 'stats', 'absent', '--json'), 3).stderr) as Json;
    assert.deepEqual([problem.status, problem.code, problem.success], [404, 'table_not_found', false]);
  });

  test('table config prints, changes, takes back and archives', async () => {
    exited(await miniodb('table', 'create', 'tuned', '--property=a=1', '--property=b=2'), 0);
    const config = async () => {
      const info = json(exited(await miniodb('table', 'config', 'tuned', '--json'), 0));
      return info as { config: Json; inherited: string[]; status: string };
    };
    assert.deepEqual((await config()).config.properties, { a: '1', b: '2' });
    const changed = await miniodb(
      ...['table', 'config', 'tuned', '--buffer-size=7', '--flush-paused=true', '--property=a=3'],
    );
    forPeople(exited(changed, 0));
    assert.match(changed.stdout, /│ buffer_size +│ 7 rows +│ table +│/);
    const after = await config();
    assert.deepEqual(
      [after.config.buffer_size, after.config.flush_paused, after.config.properties],
      [7, true, { a: '3', b: '2' }],
    );
    const back = ['--unset', 'buffer-size', '--unset=properties.a', '--status=archived', '--json'];
    const answer = json(exited(await miniodb('table', 'config', 'tuned', ...back), 0));
    assert.deepEqual(answer.table_info, await config());
    const last = await config();
    assert.ok(last.inherited.includes('buffer_size'));
    assert.deepEqual([last.config.properties, last.status], [{ b: '2' }, 'archived']);
    assert.match(
      exited(await miniodb('table', 'config', 'tuned', '--unset=size'), 2).stderr,
      /^error: --unset size: there is no such field$/m,
    );
    exited(await miniodb('table', 'config', 'tuned', '--unset=ack', '--ack=queued'), 2);
    exited(await miniodb('table', 'config', 'absent', '--ack=queued'), 3);
    exited(await miniodb('table', 'config', 'tuned', '--shards=1'), 1);
  });

  test('table drop without a terminal goes on, and refuses what the cluster refuses', async () => {
    exited(await miniodb('table', 'create', 'dropped'), 0);
    await insert('dropped', [{ n: 1 }]);
    assert.match(exited(await miniodb('table', 'drop', 'dropped'), 4).stderr, /\(table_not_empty\)\n$/);
    const gone = exited(await miniodb('table', 'drop', 'dropped', '--cascade', '--json'), 0);
    assert.deepEqual(json(gone), { success: true, message: '', files_deleted: 0 });
    exited(await miniodb('table', 'drop', 'dropped'), 3);
    const none = exited(await miniodb('table', 'drop', 'dropped', '--if-exists'), 0);
    assert.equal(none.stdout, 'Table dropped is gone, with 0 files.\n');
  });

  const hasScript = spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux');
  test('table drop on a terminal asks first', { skip: !hasScript && 'needs util-linux script' }, async () => {
    exited(await miniodb('table', 'create', 'asked'), 0);
    const onTerminal = (command: string, typed: string) =>
      ended(
        start(['-qec', `${MINIODB} ${command}`, '/dev/null'], { MINIODB_URL: cluster.restUrl }, 'script'),
        typed,
      );
    const refused = exited(await onTerminal('table drop asked', '\n'), 1);
    assert.match(refused.stdout, /Drop table asked\? \[y\/N\][\s\S]*Nothing is dropped\./);
    exited(await miniodb('table', 'describe', 'asked'), 0);
    assert.match(exited(await onTerminal('table drop asked', 'y\n'), 0).stdout, /Table asked is gone/);
    exited(await miniodb('table', 'describe', 'asked'), 3);
    const sure = exited(await onTerminal('table drop asked --if-exists --yes', ''), 0);
    assert.doesNotMatch(sure.stdout, /\[y\/N\]/);
  });

  test('query answers in every format, with every digit', async () => {
    exited(await miniodb('table', 'create', 'asked_rows'), 0);
    const body =
      '{"id":"a","payload":{"n":9007199254740993,"text":"x,\\u001b\\"y\\""}}\n{"id":"b","payload":{"n":2}}';
    const stored = await fetch(`${cluster.restUrl}/v1/tables/asked_rows/rows`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body,
    });
    assert.equal(stored.status, 200, await stored.text());
    const sql = 'SELECT id, n, text FROM asked_rows ORDER BY id';
    const shown = exited(await miniodb('query', sql), 0);
    forPeople(shown);
    assert.match(shown.stdout, /│ a +│ 9007199254740993 │ x,\ufffd"y" │/);
    assert.match(shown.stdout, /\n2 rows, [0-9.]+ ms, /);
    const exact = '{"id":"a","n":9007199254740993,"text":"x,\\u001b\\"y\\""}';
    const second = '{"id":"b","n":2,"text":null}';
    const inFormat = async (format: string) =>
      exited(await miniodb('query', sql, `--format=${format}`), 0).stdout;
    assert.equal(await inFormat('json'), `[${exact},${second}]\n`);
    assert.equal(await inFormat('ndjson'), `${exact}\n${second}\n`);
    assert.equal(await inFormat('csv'), 'id,n,text\na,9007199254740993,"x,\u001b""y"""\nb,2,\n');
    const answer = json(exited(await miniodb('query', sql, '--json'), 0));
    assert.deepEqual([answer.row_count, answer.result_json], [2, `[${exact},${second}]`]);
  });

  test('query takes parameters, and SQL from standard input', async () => {
    const params = ['--param', '41', '--param=x', '--param', '"1"', '--param=null'];
    const sql = 'SELECT $1 + 1 AS a, $2 AS b, $3 AS c, $4 AS d';
    const bound = exited(await miniodb('query', sql, ...params, '--format=json'), 0);
    assert.equal(bound.stdout, '[{"a":42,"b":"x","c":"1","d":null}]\n');
    const env = { MINIODB_URL: cluster.restUrl };
    const piped = await runWith(env, ['query', '-', '--format', 'csv'], 'SELECT 7 AS n\n');
    assert.equal(exited(piped, 0).stdout, 'n\n7\n');
    exited(await runWith(env, ['query', '-'], ' \n'), 2);
  });

  test('query says what is wrong with it', async () => {
    assert.match(
      exited(await miniodb('query', 'SELEC 1'), 1).stderr,
      /^error: syntax error.*\(sql_syntax\)\n$/,
    );
    exited(await miniodb('query', 'SELECT * FROM absent'), 3);
    exited(await miniodb('query', ''), 2);
    exited(await miniodb('query', 'SELECT 1', '--format=xml'), 2);
    exited(await miniodb('query', 'SELECT 1', '--format=csv', '--json'), 2);
  });

  test('a reader that has enough ends a command quietly', async () => {
    const child = start(['query', 'SELECT * FROM range(300000)', '--format=ndjson'], {
      MINIODB_URL: cluster.restUrl,
    });
    child.stdout.once('data', () => child.stdout.destroy());
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const status = await new Promise((resolve) => child.on('close', resolve));
    assert.deepEqual([status, stderr], [0, '']);
  });

  test('a large result arrives whole through a pipe', async () => {
    const all = exited(await miniodb('query', 'SELECT * FROM range(200000)', '--format=ndjson'), 0);
    const lines = all.stdout.split('\n');
    assert.deepEqual([lines.length, lines.at(-2)], [200_001, '{"range":199999}']);
  });

  test('health is the cluster, and a table where one is named', async () => {
    const well = exited(await miniodb('health'), 0);
    assert.deepEqual([field(well, 'status'), field(well, 'redis')], ['healthy', 'ok']);
    assert.equal(json(exited(await miniodb('health', '--json'), 0)).status, 'healthy');
    exited(await miniodb('table', 'create', 'paused', '--flush-paused=true', '--max-pending-bytes=1MiB'), 0);
    const table = exited(await miniodb('health', '--table=paused'), 0);
    assert.equal(field(table, 'table'), 'paused, active, flushing is paused');
    // Some 30 KiB each, compressed: the first that is refused finds less than that left of 1 MiB.
    const texts = () => Array.from({ length: 5_000 }, () => Math.random().toString(36).slice(2, 10)).join('');
    await waitFor(
      'the table is full',
      async () => (await insert('paused', [{ text: texts() }])).status === 429,
    );
    const full = exited(await miniodb('health', '--table=paused', '--json'), 1);
    const { status, problems } = json(full) as { status: string; problems: string[] };
    assert.equal(status, 'healthy');
    assert.match(
      problems.join(),
      /^table paused refuses writes or soon will: 9\d % .*, and flushing is paused$/,
    );
    exited(await miniodb('table', 'config', 'paused', '--status=archived'), 0);
    exited(await miniodb('health', '--table=paused'), 0);
    exited(await miniodb('health', '--table=absent'), 3);
  });

  test('monitor shows all tables, or one', async () => {
    for (const name of ['mon_a', 'mon_b']) exited(await miniodb('table', 'create', name), 0);
    await insert('mon_a', [{ n: 1 }, { n: 2 }]);
    const shown = exited(await miniodb('monitor', 'tables', '--pattern=mon_*'), 0);
    forPeople(shown);
    assert.match(shown.stdout, /│ mon_a │ +2 │ .* │ 2\d{3}-\d\d-\d\d \d\d:\d\d:\d\dZ │\n│ mon_b │ +0 │/);
    const all = json(exited(await miniodb('monitor', 'tables', '--pattern=mon_*', '--json'), 0)) as {
      tables: { table_info: Json }[];
      total: number;
    };
    assert.deepEqual([all.total, ...all.tables.map((one) => one.table_info.name)], [2, 'mon_a', 'mon_b']);
    const one = exited(await miniodb('monitor', 'table', 'mon_a'), 0);
    assert.deepEqual([field(one, 'table'), field(one, 'rows')], ['mon_a, active', '2']);
    exited(await miniodb('monitor', 'table', 'absent'), 3);
    assert.match(
      exited(await miniodb('monitor', 'tables', '--watch'), 2).stderr,
      /--watch is for a terminal/,
    );
  });

  test('monitor --watch looks again and again until it is told to stop', async () => {
    exited(await miniodb('table', 'create', 'watched'), 0);
    const child = start(['monitor', 'table', 'watched', '--watch', '--json'], {
      MINIODB_URL: cluster.restUrl,
    });
    let seen = '';
    child.stdout.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
    });
    const run = ended(child);
    await waitFor('it has looked once', () => seen.includes('\n'));
    await insert('watched', [{ n: 1 }]);
    await waitFor('it has seen the row', () => seen.includes('"record_count":1'));
    // Signals go to the program itself: the launcher has become it.
    child.kill('SIGINT');
    exited(await run, 0);
    const lines = seen
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as TableStats);
    assert.ok(lines.length >= 2);
    assert.deepEqual([lines[0]!.stats.record_count, lines.at(-1)!.stats.record_count], [0, 1]);
  });
});

interface TableStats {
  readonly stats: { readonly record_count: number };
}

describe('against a cluster with permissions', () => {
  let cluster: TestCluster;
  const tokens: Record<string, string> = {};
  before(async () => {
    const configFile = join(scratch, 'permissions.yaml');
    writeFileSync(
      configFile,
      `permissions:
  enabled: true
  roles: { admin: ["table:*:*"], reader: ["table:open_*:read"] }
  users: { root: [admin], guest: [reader] }
`,
    );
    cluster = await startTestCluster({ flushers: 1, configFile });
    const store = new TokenStore(cluster.redis);
    for (const user of ['root', 'guest']) {
      const made = newToken({ user, createdMs: Date.now() });
      await store.add(made);
      tokens[user] = made.token;
    }
  });
  after(() => cluster.stop());

  const as = (user: string, ...args: string[]) =>
    runWith({ MINIODB_URL: cluster.restUrl, MINIODB_TOKEN: tokens[user] ?? user }, args);

  test('the token of the environment, of a file or of the command line says who asks', async () => {
    exited(await as('root', 'table', 'create', 'open_a'), 0);
    exited(await as('root', 'table', 'create', 'closed'), 0);
    const file = join(scratch, 'token');
    writeFileSync(file, `${tokens.guest}\n`);
    // What is typed goes before the environment.
    for (const typed of [['--token-file', file], [`--token=${tokens.guest}`]]) {
      const { tables } = json(exited(await as('root', 'table', 'list', '--json', ...typed), 0));
      assert.deepEqual(
        (tables as Json[]).map(({ name }) => name),
        ['open_a'],
      );
    }
    exited(await as('root', 'table', 'list', '--token=a', '--token-file', file), 2);
    exited(await as('root', 'table', 'list', '--token-file', join(scratch, 'absent')), 2);
  });

  test('who is not let in, or may not, hears what the gateway says', async () => {
    const nobody = exited(await runWith({ MINIODB_URL: cluster.restUrl }, ['table', 'list']), 4);
    assert.match(nobody.stderr, /^error: .*Give a token: MINIODB_TOKEN.*\(credentials_missing\)\n$/);
    const wrong = exited(await as('mdb_0123456789abcdef_wrong', 'table', 'list'), 4);
    assert.match(wrong.stderr, /\(unauthenticated\)\n$/);
    const forbidden = exited(await as('guest', 'table', 'drop', 'closed'), 4);
    assert.match(forbidden.stderr, /\(table_forbidden\)\n$/);
    const unseen = exited(await as('guest', 'query', 'SELECT * FROM absent', '--json'), 4);
    assert.equal((JSON.parse(unseen.stderr) as Json).status, 403);
    exited(await runWith({ MINIODB_URL: cluster.restUrl }, ['health']), 0);
  });

  test('a token is never shown', async () => {
    const secret = 'hush\u0001hush';
    for (const args of [
      ['table', 'list', `--token=${secret}`],
      ['table', 'list', '--token=hush hush'],
      ['table', 'list', '--url=http://user:hush@127.0.0.1'],
    ]) {
      const run = exited(await as('root', ...args), 2);
      assert.doesNotMatch(run.stdout + run.stderr, /hush/);
    }
    const help = exited(await as('root', 'table', 'list', '--help'), 0);
    assert.ok(!help.stdout.includes(tokens.root!));
  });
});

describe('without a cluster', () => {
  const nowhere = (...args: string[]) => runWith({}, args);

  test('a gateway that does not answer is said with its address and what to do', async () => {
    const port = await freePort();
    const refused = exited(await runWith({ MINIODB_REST_PORT: String(port) }, ['table', 'list']), 5);
    assert.equal(refused.stdout, '');
    assert.match(
      refused.stderr,
      new RegExp(`^error: nobody answers at http://127\\.0\\.0\\.1:${port} .*--url`),
    );
    const url = `--url=http://127.0.0.1:${port}`;
    for (const args of [['health'], ['query', 'SELECT 1'], ['table', 'drop', 't'], ['monitor', 'tables']]) {
      exited(await nowhere(...args, url), 5);
    }
    const problem = JSON.parse(exited(await nowhere('health', url, '--json'), 5).stderr) as Json;
    assert.equal(problem.code, 'gateway_unreachable');
  });

  test('a wrong command line is told from everything else', async () => {
    for (const args of [
      ['table'],
      ['table', 'make'],
      ['table', 'create'],
      ['table', 'create', '../x'],
      ['table', 'create', '..'],
      ['table', 'create', 'a', 'b'],
      ['table', 'create', 'a', '--flush-interval=soon'],
      ['table', 'list', '--timeout=0s'],
      ['table', 'list', '--url=ftp://x'],
      ['table', 'list', '--url=localhost:8081'],
      ['monitor'],
      ['completion', 'fish'],
    ]) {
      const run = exited(await nowhere(...args), 2);
      assert.equal(run.stdout, '', args.join(' '));
    }
  });

  test('help has the exit codes, and examples for each command', async () => {
    assert.match(exited(await nowhere('--help'), 0).stdout, /Exit codes:\n +0 +done/);
    const commands = [
      'table create',
      'table list',
      'table describe',
      'table stats',
      'table config',
      'table drop',
    ];
    for (const command of [...commands, 'query', 'health', 'monitor tables', 'monitor table', 'completion']) {
      const help = exited(await nowhere(...command.split(' '), '--help'), 0);
      assert.match(help.stdout, new RegExp(`\nExamples:\n(.*\n)*.*miniodb ${command}`), command);
    }
  });
});
