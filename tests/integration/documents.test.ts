import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { MUTATIONS } from '../mutations/mutations.ts';

const ROOT = join(import.meta.dirname, '../..');
const DOCUMENTS = [...globSync('*.md', { cwd: ROOT }), ...globSync('docs/**/*.md', { cwd: ROOT })];

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

test('every link of a document leads to a file that is there', () => {
  assert.ok(DOCUMENTS.length >= 6);
  for (const document of DOCUMENTS) {
    for (const [, target] of read(document).matchAll(/\]\(([^)#]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      assert.ok(existsSync(join(ROOT, dirname(document), target!)), `${document}: ${target}`);
    }
  }
});

test('every environment variable that a role reads is in docs/configuration.md, and none besides', () => {
  const documented = new Set(
    Array.from(
      read('docs/configuration.md').matchAll(/`(MINIODB_[A-Z0-9_]+|REDIS_URL)`/g),
      ([, name]) => name!,
    ),
  );
  const sources = globSync(['packages/core/src/config/settings.ts'], { cwd: ROOT });
  const used = new Set(
    sources.flatMap((path) =>
      Array.from(read(path).matchAll(/^ {2}(MINIODB_[A-Z0-9_]+|REDIS_URL):/gm), ([, name]) => name!),
    ),
  );
  assert.ok(used.size > 20);
  for (const name of used) assert.ok(documented.has(name), `${name} is not documented`);
  const elsewhere = globSync(['apps/cli/src/**/*.ts', 'packages/**/src/**/*.ts', 'tests/**/*.ts'], {
    cwd: ROOT,
  })
    .map(read)
    .join('');
  for (const name of documented)
    assert.ok(used.has(name) || elsewhere.includes(name), `nothing reads ${name}`);
});

test('docs/mutations.md lists every mutation as it is', () => {
  const document = read('docs/mutations.md');
  for (const { step, breaks, test, testFile } of MUTATIONS) {
    assert.ok(document.includes(`| ${step} | ${breaks} | \`${testFile}\`: ${test} |`), `${step}: ${breaks}`);
  }
});

test('every mutation finds the one place that it breaks', () => {
  for (const { file, from } of MUTATIONS) {
    assert.equal(read(file).split(from).length, 2, `${file}: ${from}`);
  }
});
