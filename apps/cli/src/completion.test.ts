import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const MINIODB = join(import.meta.dirname, '../../../miniodb');
const scratch = mkdtempSync(join(tmpdir(), 'miniodb-completion-'));
after(() => rmSync(scratch, { recursive: true }));

const hasZsh = spawnSync('zsh', ['--version']).status === 0;

before(() => {
  for (const shell of ['bash', 'zsh']) {
    const made = spawnSync(MINIODB, ['completion', shell], { encoding: 'utf8' });
    assert.equal(made.status, 0, made.stderr);
    writeFileSync(join(scratch, shell), made.stdout);
  }
  writeFileSync(join(scratch, 'a token'), '');
});

/** What bash would offer. @param words as readline splits them, the last one being completed */
function offered(...words: string[]): string[] {
  const script = `source ./bash
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    "$(complete -p miniodb | sed 's/.*-F \\([^ ]*\\) .*/\\1/')"
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  // A bash whose standard input is a socket takes itself for a remote shell, and reads its start-up files.
  const run = spawnSync('bash', ['--norc', '-uc', script, 'miniodb', 'miniodb', ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    cwd: scratch,
  });
  assert.equal(run.status, 0, run.stderr);
  assert.equal(run.stderr, '');
  return run.stdout.split('\n').filter((line) => line !== '');
}

test('bash completes commands, their options, and the values of these', () => {
  assert.deepEqual(offered('ta'), ['table']);
  assert.deepEqual(offered('table', ''), ['create', 'list', 'describe', 'stats', 'config', 'flush', 'drop']);
  assert.deepEqual(offered('table', 'create', '--buf'), ['--buffer-size']);
  assert.deepEqual(offered('query', '--format', ''), ['table', 'json', 'csv', 'ndjson']);
  assert.deepEqual(offered('query', '--format', '=', 'nd'), ['ndjson']);
  assert.deepEqual(offered('query', '--format', '='), ['table', 'json', 'csv', 'ndjson']);
  assert.deepEqual(offered('table', 'config', 'logs', '--status', 'ar'), ['archived']);
  assert.deepEqual(offered('completion', ''), ['bash', 'zsh']);
  assert.deepEqual(offered('token', 'r'), ['revoke']);
});

test('bash offers nothing where only the caller knows, and files where one is meant', () => {
  assert.deepEqual(offered('table', 'create', '--buffer-size', ''), []);
  assert.deepEqual(offered('table', 'create', '--token-file', 'a'), ['a token']);
  assert.deepEqual(offered('table', 'describe', ''), []);
});

test('bash loads the script for both ways to start the program', () => {
  const run = spawnSync('bash', ['--norc', '-c', 'source ./bash; complete -p miniodb ./miniodb'], {
    encoding: 'utf8',
    cwd: scratch,
  });
  assert.equal(run.stdout, 'complete -F _miniodb miniodb\ncomplete -F _miniodb ./miniodb\n');
});

test('zsh completes the same', { skip: !hasZsh && 'there is no zsh here' }, () => {
  const script = `compdef() { :; }; compset() { :; }
    compadd() { shift; print -rl -- "$@"; }
    source ./zsh
    words=(miniodb "$@"); CURRENT=$#words
    _miniodb`;
  const zsh = (...words: string[]) => {
    const run = spawnSync('zsh', ['-fc', script, 'zsh', ...words], { encoding: 'utf8', cwd: scratch });
    assert.equal(run.stderr, '');
    return run.stdout.trimEnd().split('\n');
  };
  assert.deepEqual(zsh('table', ''), ['create', 'list', 'describe', 'stats', 'config', 'flush', 'drop']);
  assert.deepEqual(zsh('query', '--format', ''), ['table', 'json', 'csv', 'ndjson']);
  assert.deepEqual(zsh('query', '--format='), ['table', 'json', 'csv', 'ndjson']);
  assert.ok(zsh('table', 'create', '--').includes('--buffer-size'));
});
