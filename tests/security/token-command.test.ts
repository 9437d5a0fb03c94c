import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { parseToken } from '@miniodb/core/auth/token.ts';
import { TokenCheck } from '@miniodb/core/auth/token-check.ts';
import { TokenStore } from '@miniodb/core/auth/token-store.ts';
import { GLOBAL_KEYS } from '@miniodb/core/table/keys.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';

const MAIN = join(import.meta.dirname, '../../apps/cli/src/main.ts');

let server: TestRedis;
let scratch: string;
before(async () => {
  server = await startTestRedis();
  scratch = await mkdtemp(join(tmpdir(), 'miniodb-token-command-'));
  await writeFile(
    join(scratch, 'config.yaml'),
    'permissions:\n  enabled: true\n  roles: { admin: ["table:*:*"] }\n  users: { admin-001: [admin], other-001: [] }\n',
  );
});
after(async () => {
  await server?.stop();
  await rm(scratch, { recursive: true, force: true });
});

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs in the directory of config.yaml, which it therefore finds. */
async function miniodb(args: readonly string[], redisUrl = server.url): Promise<Ran> {
  const env: NodeJS.ProcessEnv = { ...process.env, REDIS_URL: redisUrl };
  delete env.MINIODB_CONFIG;
  const child = spawn(process.execPath, [MAIN, 'token', ...args], { cwd: scratch, env });
  const [stdout, stderr, status] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.on('close', resolve)),
  ]);
  return { status, stdout, stderr };
}

const userOf = (token: string) => new TokenCheck(new TokenStore(server.redis), Date.now).userOf(token);
const YEAR_MS = 365 * 86_400_000;

test('the first admin token is made by the command, and printed once', async () => {
  const quiet = await miniodb(['create', '--user', 'admin-001', '--quiet']);
  assert.equal(quiet.status, 0, quiet.stderr);
  const token = quiet.stdout.trim();
  assert.equal(quiet.stdout, `${token}\n`);
  assert.equal(await userOf(token), 'admin-001');

  const list = await miniodb(['list']);
  assert.match(list.stdout, new RegExp(`${parseToken(token)!.id}.*admin-001.*active`));
  assert.ok(!list.stdout.includes(parseToken(token)!.secret));
  const hashes = await server.redis.hvals(GLOBAL_KEYS.tokens);
  const { hash } = JSON.parse(hashes[0]!) as { hash: string };
  assert.ok(!list.stdout.includes(hash));
});

test('a token lives a year, or as long as it is told, by the clock of Redis', async () => {
  const create = async (...more: string[]) => {
    const { stdout, stderr } = await miniodb(['create', '--user', 'other-001', '--json', ...more]);
    assert.equal(stderr, '');
    return JSON.parse(stdout) as Record<string, string>;
  };
  const lifeMs = ({ created_at, expires_at }: Record<string, string>) =>
    Date.parse(expires_at!) - Date.parse(created_at!);
  const plain = await create('--name', 'ci');
  assert.deepEqual([lifeMs(plain), plain.name, plain.state], [YEAR_MS, 'ci', 'active']);
  assert.equal(lifeMs(await create('--expires', '90m')), 5_400_000);
  assert.equal((await create('--expires', 'never')).expires_at, '');
  for (const bad of ['0d', '1y', '-1d', '3651d', '', 'soon']) {
    const { status, stderr } = await miniodb(['create', '--user', 'other-001', `--expires=${bad}`]);
    assert.deepEqual([status, /up to 3650d, or never/.test(stderr)], [2, true], bad);
  }
});

test('a token for a user that the configuration does not know is refused, with those that it knows', async () => {
  const before = await server.redis.hlen(GLOBAL_KEYS.tokens);
  const { status, stdout, stderr } = await miniodb(['create', '--user', 'nobody']);
  assert.deepEqual([status, stdout], [3, '']);
  assert.match(stderr, /no user nobody; it knows admin-001, other-001 \(user_unknown\)/);
  const none = await miniodb(['create', '--user', 'admin-001', '--config', 'none']);
  assert.match(none.stderr, /it knows none: name them in permissions\.users/);
  assert.equal(await server.redis.hlen(GLOBAL_KEYS.tokens), before);
});

test('a token is revoked by its id or by itself, once', async () => {
  const make = async () => (await miniodb(['create', '--user', 'admin-001', '--quiet'])).stdout.trim();
  const [one, two] = [await make(), await make()];
  assert.equal((await miniodb(['revoke', parseToken(one)!.id])).status, 0);
  assert.equal((await miniodb(['revoke', two])).status, 0);
  for (const token of [one, two]) {
    await assert.rejects(userOf(token), { code: 'unauthenticated' });
    assert.match((await miniodb(['revoke', token])).stderr, /token_not_found/);
  }
  const odd = await miniodb(['revoke', 'mdb_a-secret']);
  assert.deepEqual([odd.status, odd.stderr.includes('a-secret')], [1, false]);
});

test('a list tells which tokens open nothing any more', async () => {
  const { stdout } = await miniodb(['create', '--user', 'other-001', '--json', '--expires', '5m']);
  const { id } = JSON.parse(stdout) as { id: string };
  const record = JSON.parse((await server.redis.hget(GLOBAL_KEYS.tokens, id))!) as object;
  const put = (tokenId: string, value: object) =>
    server.redis.hset(GLOBAL_KEYS.tokens, tokenId, JSON.stringify(value));
  await put('0000000000000001', { ...record, expiresMs: 1 });
  await put('0000000000000002', { ...record, user: 'gone-001' });
  await put('0000000000000003', { ...record, format: 9 });
  const listed = JSON.parse((await miniodb(['list', '--json'])).stdout) as { id: string; state: string }[];
  const states = new Map(listed.map((token) => [token.id, token.state]));
  assert.deepEqual(
    ['0000000000000001', '0000000000000002', '0000000000000003', id].map((one) => states.get(one)),
    ['expired', 'user_unknown', 'unreadable', 'active'],
  );
});

test('without Redis, and with a configuration that cannot be read, the command says so and fails', async () => {
  const away = await miniodb(['list'], 'redis://127.0.0.1:1');
  assert.deepEqual([away.status, /redis_unavailable/.test(away.stderr)], [5, true]);
  const bad = await miniodb(['list', '--config', 'missing.yaml']);
  assert.equal(bad.status, 3);
  assert.match(bad.stderr, /missing\.yaml/);
});
