import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const ROOT = join(import.meta.dirname, '../../..');
const MINIODB = join(ROOT, 'miniodb');

const scratch = mkdtempSync(join(tmpdir(), 'miniodb-config-'));
after(() => rmSync(scratch, { recursive: true }));

function run(program: string, args: readonly string[], env: Record<string, string> = {}) {
  return spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 30_000,
    cwd: scratch,
    env: { ...process.env, ...env },
  });
}

test('config check finds nothing wrong with config.example.yaml, and is quiet about it', () => {
  const checked = run(MINIODB, ['config', 'check', '--config', join(ROOT, 'config.example.yaml')]);
  assert.equal(checked.stderr, '');
  assert.match(checked.stdout, /^\S+config\.example\.yaml: 0 errors, 0 warnings\n$/);
  assert.equal(checked.status, 0);
});

test('config check says every error and every warning, and exits with 1', () => {
  const file = join(scratch, 'bad.yaml');
  writeFileSync(file, 'tables:\n  users: { buffer_size: 0 }\nlog: { format: text }\n');
  const checked = run(MINIODB, ['config', 'check', '--config', 'bad.yaml'], { MINIODB_MAX_TABLES: 'x' });
  assert.equal(checked.status, 1);
  assert.deepEqual(checked.stdout.trimEnd().split('\n'), [
    'error: MINIODB_MAX_TABLES: "x" is not a whole number from 1 to 1000000',
    'error: bad.yaml:2:12: tables.users.buffer_size: 0 is not a whole number from 1 to 10000000',
    'warning: bad.yaml:3:8: log.format: has no effect in this version',
    'bad.yaml: 2 errors, 1 warning',
  ]);
  const json = run(MINIODB, ['config', 'check', '--json', '--config', 'bad.yaml']);
  const report = JSON.parse(json.stdout) as Record<string, unknown>;
  assert.deepEqual([report.ok, json.status], [false, 1]);
  const absent = run(MINIODB, ['config', 'check', '--config', 'absent.yaml']);
  assert.equal(absent.status, 1);
  assert.match(absent.stderr, /^error: there is no configuration file absent\.yaml/);
});

test('config print shows what holds, where it is from when asked, and no secret', () => {
  writeFileSync(join(scratch, 'config.yaml'), 'redis: { addr: "r:1", password: hush }\n');
  const printed = run(MINIODB, ['config', 'print', '--origin'], { MINIODB_GRPC_PORT: '9000', REDIS_URL: '' });
  assert.equal(printed.status, 0);
  assert.match(printed.stdout, /grpc_port: 9000 # environment MINIODB_GRPC_PORT\n/);
  assert.match(printed.stdout, /url: redis:\/\/:\*\*\*@r:1\/0 # config\.yaml:1:10\n/);
  assert.match(printed.stdout, /rest_port: 8081 # default\n/);
  assert.doesNotMatch(printed.stdout, /hush/);
  const json = run(MINIODB, ['config', 'print', '--json', '--origin'], { REDIS_URL: '' });
  const { values, origins } = JSON.parse(json.stdout) as Record<string, Record<string, unknown>>;
  assert.deepEqual(values!.redis, { url: 'redis://:***@r:1/0' });
  assert.equal(origins!['redis.url'], 'config.yaml:1:10');
});

test('./miniodb runs from any directory and through links, and says what to do when nothing is installed', () => {
  symlinkSync(MINIODB, join(scratch, 'link'));
  const linked = run(join(scratch, 'link'), ['--help']);
  assert.equal(linked.status, 0);
  assert.match(linked.stdout, /Usage: miniodb/);
  const elsewhere = join(scratch, 'not installed');
  mkdirSync(elsewhere);
  copyFileSync(MINIODB, join(elsewhere, 'miniodb'));
  const bare = run(join(elsewhere, 'miniodb'), ['--help']);
  assert.equal(bare.status, 5);
  assert.match(bare.stderr, /nothing is installed in .*not installed yet\. Run there: npx/);
});
