import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { BatchInput } from '../api.ts';
import { type Accepted, acceptAll } from './accept-all.ts';
import { JSON_ARRAY_BYTES_MAX } from './parse-rows.ts';

const ACCEPTED_MS = 1_767_225_600_000;

function accept(bytes: Uint8Array, skipInvalid = false): Promise<Accepted> {
  const request: BatchInput = {
    table: 't',
    rows: { form: 'ndjson', bytes },
    ack: 'default',
    batchId: '',
    skipInvalid,
  };
  return acceptAll(request, ACCEPTED_MS);
}

function linesOf({ rows }: Accepted): string[] {
  return rows.map(({ lines, lineAt, lineEnd }) => lines.toString('utf8', lineAt, lineEnd));
}

const GOOD = '{"id":"a","timestamp":1,"payload":{"n":1}}';
const STORED = '{"i":"a","t":1000,"p":{"n":1}}\n';

test('rows of both ways keep their order, blank lines count as lines only, the last needs no newline', async () => {
  const nested = '{"id":"ü","timestamp":2,"payload":{"o":{"x":[1]},"n":null}}';
  const accepted = await accept(Buffer.from(`${GOOD}\n\n${nested}\r\n  \n${GOOD}`));
  const stored = [STORED, '{"i":"ü","t":2000,"p":{"o":{"x":[1]}}}\n', STORED];
  assert.deepEqual(linesOf(accepted), stored);
  assert.equal(accepted.bytes, Buffer.byteLength(stored.join('')));
  assert.deepEqual(
    [...accepted.profile.types],
    [
      ['n', 'int53'],
      ['o', 'json'],
    ],
  );
});

test('a line that is not UTF-8 is refused by its index, and the others stand', async () => {
  const broken = Buffer.concat([
    Buffer.from(`${GOOD}\n{"id":"`),
    Buffer.from([0xc3, 0x28]),
    Buffer.from(`","payload":{}}\n${GOOD}\n`),
  ]);
  const accepted = await accept(broken, true);
  assert.deepEqual(linesOf(accepted), [STORED, STORED]);
  assert.deepEqual(
    accepted.errors.map(({ index, code }) => [index, code]),
    [[1, 'invalid_utf8']],
  );
  await assert.rejects(
    accept(broken),
    (error) => error instanceof MiniodbError && error.code === 'invalid_rows',
  );
});

test('bad lines are named by their index and code', async () => {
  const bad = [
    '{',
    '[]',
    '{"id":"","payload":{}}',
    '{"id":"a","payload":{"__proto__":1}}',
    '{"id":"a","x":1}',
  ];
  const accepted = await accept(Buffer.from([GOOD, '', ...bad, GOOD].join('\n')), true);
  assert.equal(accepted.rows.length, 2);
  assert.deepEqual(
    accepted.errors.map(({ index, code }) => [index, code]),
    [
      [2, 'invalid_json'],
      [3, 'invalid_row'],
      [4, 'invalid_id'],
      [5, 'field_name_refused'],
      [6, 'unknown_field'],
    ],
  );
});

test('rows that become longer than their lines all find room', async () => {
  const count = 20_000;
  const accepted = await accept(Buffer.from('{"id":"a","payload":{}}\n'.repeat(count)));
  assert.deepEqual(new Set(linesOf(accepted)), new Set([`{"i":"a","t":${ACCEPTED_MS}000,"p":{}}\n`]));
  assert.equal(accepted.rows.length, count);
});

/** Turns of the event loop that others get while the work goes on. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 1);
  try {
    await work;
    return turns;
  } finally {
    clearInterval(timer);
  }
}

// Each is work of 100 ms and more on any machine.
for (const [what, rows] of [
  ['lines', { form: 'ndjson', bytes: Buffer.from(`${GOOD}\n`.repeat(400_000)) }],
  [
    'lines the slow way',
    { form: 'ndjson', bytes: Buffer.from('{"id":"a","payload":{"o":{}}}\n'.repeat(100_000)) },
  ],
  ['rows', { form: 'rows', rows: Array.from({ length: 100_000 }, () => ({ id: 'a', payload: { n: 1 } })) }],
] as const) {
  test(`timers fire while a large request of ${what} is accepted`, async () => {
    const request: BatchInput = { table: 't', rows, ack: 'default', batchId: '', skipInvalid: false };
    assert.ok((await turnsDuring(acceptAll(request, ACCEPTED_MS))) >= 2);
  });
}

test('a JSON array that would be parsed for too long is refused with the way out', async () => {
  const bytes = Buffer.alloc(JSON_ARRAY_BYTES_MAX + 1, ' ');
  const request: BatchInput = {
    table: 't',
    rows: { form: 'json_array', bytes },
    ack: 'default',
    batchId: '',
    skipInvalid: false,
  };
  await assert.rejects(acceptAll(request, ACCEPTED_MS), { code: 'body_too_large', message: /NDJSON/ });
});
