import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseConfigDocument, readConfigFile } from './document.ts';
import { problemText } from './problem.ts';

const scratch = mkdtempSync(join(tmpdir(), 'miniodb-config-'));
after(() => rmSync(scratch, { recursive: true }));

const problemsOf = (text: string) => parseConfigDocument('c.yaml', text).problems.map(problemText);

test('a configuration file is plain values that know where they stand', () => {
  const document = parseConfigDocument('c.yaml', 'a:\n  b: &shared\n    - one\n    - two\nc: *shared\n');
  assert.deepEqual(document.value, { a: { b: ['one', 'two'] }, c: ['one', 'two'] });
  assert.deepEqual(document.positionOf(['a', 'b', 1]), { line: 4, column: 7 });
  assert.deepEqual(document.positionOf(['a', 'b']), { line: 2, column: 3 });
  assert.deepEqual(document.positionOf(['a', 'absent']), { line: 1, column: 1 });
  assert.deepEqual(document.positionOf(['c', 0]), { line: 3, column: 7 });
});

test('what is no YAML, or more than one document, is said with line and column', () => {
  assert.deepEqual(problemsOf('a: 1\nb: 2\na: 3\n'), ['c.yaml:3:1: this key stands here twice']);
  assert.deepEqual(problemsOf('a:\n\tb: 1\n'), ['c.yaml:2:1: a tab cannot indent: use spaces']);
  assert.match(problemsOf('a: [1, 2\nb: 3\n')[0]!, /^c\.yaml:2:1: /);
  assert.match(problemsOf('a: !exotic 1\n')[0]!, /^c\.yaml:1:4: .*!exotic/);
  assert.deepEqual(problemsOf('a: 1\n---\nb: 2\n'), [
    'c.yaml:2:1: a second document begins here: there is one in a file',
  ]);
  assert.deepEqual(problemsOf('7: x\n'), ['c.yaml:1:1: a key must be text: write it in quotes']);
});

test('aliases that multiply, that hold themselves or that lead nowhere are refused', () => {
  let bomb = 'a0: &a0 [x,x,x,x,x,x,x,x,x]\n';
  for (let n = 1; n < 9; n += 1)
    bomb += `a${n}: &a${n} [${Array(9)
      .fill(`*a${n - 1}`)
      .join(',')}]\n`;
  assert.match(problemsOf(bomb)[0]!, /alias/);
  assert.match(problemsOf('a: &a [*a]\n')[0]!, /nested more than 20 levels/);
  assert.match(problemsOf('a: *nothing\n')[0]!, /nothing/);
});

test('nesting without end is refused in whatever way it is written', () => {
  for (const text of ['['.repeat(100_000), '- '.repeat(50_000), '? '.repeat(50_000)]) {
    const problems = problemsOf(text);
    assert.equal(problems.length, 1);
    assert.match(problems[0]!, /nested more than 20 levels deep/);
  }
});

test('a file that is missing, too large, not UTF-8 or no file is refused with a code', () => {
  const path = join(scratch, 'config.yaml');
  assert.throws(() => readConfigFile(join(scratch, 'absent.yaml')), { code: 'config_file_not_found' });
  assert.throws(() => readConfigFile(scratch), { code: 'config_file_unreadable' });
  writeFileSync(path, Buffer.from([0x61, 0x3a, 0x20, 0xff, 0xfe]));
  assert.throws(() => readConfigFile(path), { code: 'config_file_unreadable', message: /UTF-8/ });
  truncateSync(path, 1_048_577);
  assert.throws(() => readConfigFile(path), { code: 'config_file_unreadable', message: /1048576/ });
});
