import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import fc from 'fast-check';

let cluster: TestCluster;

before(async () => {
  cluster = await startTestCluster({ flushers: 1 });
});

after(async () => {
  await cluster.stop();
});

/** A few names shared by many rows, so that columns meet values of every type. */
const fieldName = fc.oneof(
  fc.constantFrom('a', 'A', 'b', 'n', 'id', 'Timestamp', 'payload', 'order', 'with space', 'quo"te', 'käse'),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
);

const anyPayload = fc.dictionary(
  fieldName.filter((name) => name !== '__proto__'),
  fc.jsonValue({ maxDepth: 3 }),
  { maxKeys: 6 },
);

/** The documented equivalence: top-level nulls are absent fields, and there is one zero. */
function normal(payload: Record<string, unknown>): unknown {
  const present = Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== null));
  return JSON.parse(JSON.stringify(present));
}

function hasProto(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.hasOwn(value, '__proto__') || Object.values(value).some(hasProto);
}

async function payloadsOf(table: string): Promise<Map<string, unknown>> {
  const rows = await cluster.query(`SELECT id, payload FROM ${table}`);
  return new Map(rows.map((row) => [row.id as string, row.payload]));
}

test('any JSON payload comes back equal, pending, flushed and mixed', async () => {
  const seed = Date.now() & 0xffff;
  const payloads = fc.sample(anyPayload, { numRuns: 600, seed }).filter((payload) => !hasProto(payload));
  const rows = payloads.map((payload, n) => ({ id: `row-${n}`, payload }));
  const expectAll = async (state: string, count: number) => {
    const found = await payloadsOf('any_json');
    assert.equal(found.size, count, `${state}, seed ${seed}`);
    for (const [n, payload] of payloads.slice(0, count).entries()) {
      assert.deepEqual(found.get(`row-${n}`), normal(payload), `${state}, seed ${seed}, row ${n}`);
    }
  };
  await cluster.rest('POST', '/v1/tables', {
    table_name: 'any_json',
    config: { shards: 1, buffer_size: 1_000_000, flush_interval_seconds: 3 },
  });
  const insert = async (part: typeof rows) => {
    const answer = await cluster.rest('POST', '/v1/tables/any_json/rows', part);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
  };
  const half = Math.ceil(rows.length / 2);
  await insert(rows.slice(0, half));
  await expectAll('pending', half);
  const isFlushed = async () => {
    const { body } = await cluster.rest('POST', '/v1/query', { sql: 'SELECT count(*) FROM any_json' });
    return body.pending_rows === 0;
  };
  await waitFor('the first half is flushed', isFlushed);
  await expectAll('flushed', half);
  await insert(rows.slice(half));
  await expectAll('mixed', rows.length);
  await waitFor('all is flushed', isFlushed);
  await expectAll('flushed with wider columns', rows.length);
});

/** Spells a JSON value in one of the many ways that mean the same. */
function spelled(value: unknown, pick: (count: number) => number): string {
  const space = ['', '', ' ', '\n', '\t', ' \r\n '][pick(6)]!;
  if (typeof value === 'string') {
    const text = JSON.stringify(value);
    return pick(3) > 0
      ? text
      : text.replace(
          /[a-z/](?=[^\\]*"$)/i,
          (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
        );
  }
  if (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) < 1e9) {
    return [`${value}`, `${value}.0`, `${value}e0`, `${value}0E-1`][pick(4)]!;
  }
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const items = Array.isArray(value)
    ? value.map((item) => spelled(item, pick))
    : Object.entries(value).map(
        ([name, item]) => `${JSON.stringify(name)}${space}:${space}${spelled(item, pick)}`,
      );
  const inner = `${space}${items.join(`${space},${space}`)}${space}`;
  return Array.isArray(value) ? `[${inner}]` : `{${inner}}`;
}

test('any JSON text of a payload comes back as it was sent where it is kept, pending, flushed and mixed', async () => {
  const seed = Date.now() & 0xffff;
  const random = fc.sample(fc.nat(), { numRuns: 40_000, seed });
  let at = 0;
  const pick = (count: number) => {
    at = (at + 1) % random.length;
    return random[at]! % count;
  };
  const texts = fc
    .sample(anyPayload, { numRuns: 600, seed })
    .filter((payload) => !hasProto(payload))
    .map((payload) => spelled(payload, pick));
  await cluster.rest('POST', '/v1/tables', {
    table_name: 'any_text',
    config: { shards: 1, buffer_size: 1_000_000, flush_interval_seconds: 3, keep_raw_payload: true },
  });
  const insert = async (from: number, to: number) => {
    const rows = texts.slice(from, to).map((text, n) => `{"id":"row-${from + n}", "payload" : ${text} }`);
    const response = await fetch(`${cluster.restUrl}/v1/tables/any_text/rows`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `[${rows.join(',')}]`,
    });
    assert.equal(response.status, 200, `seed ${seed}`);
  };
  const expectAll = async (state: string, count: number) => {
    // As text beside the object: parsing the result would lose the spelling.
    const rows = await cluster.query('SELECT id, payload::VARCHAR AS text, payload FROM any_text');
    const found = new Map(rows.map((row) => [row.id as string, row]));
    assert.equal(found.size, count, `${state}, seed ${seed}`);
    for (const [n, text] of texts.slice(0, count).entries()) {
      const row = found.get(`row-${n}`)!;
      assert.equal(row.text, text, `${state}, seed ${seed}, row ${n}`);
      assert.deepEqual(row.payload, JSON.parse(text), `${state}, seed ${seed}, row ${n}`);
    }
  };
  const half = Math.ceil(texts.length / 2);
  await insert(0, half);
  await expectAll('pending', half);
  const isFlushed = async () => (await cluster.pendingRows('any_text')) === 0;
  await waitFor('the first half is flushed', isFlushed);
  await expectAll('flushed', half);
  await insert(half, texts.length);
  await expectAll('mixed', texts.length);
  await waitFor('all is flushed', isFlushed);
  await expectAll('flushed with wider columns', texts.length);
});
