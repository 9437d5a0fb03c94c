import assert from 'node:assert/strict';
import { isAscii } from 'node:buffer';
import { test } from 'node:test';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import fc from 'fast-check';
import { type AcceptedRow, acceptRow, Profile } from './accept.ts';
import { parseLine } from './parse-rows.ts';
import { LineScanner } from './scan-line.ts';

const ACCEPTED_MS = 1_767_225_600_123;

interface Result {
  readonly rows: readonly (AcceptedRow | undefined)[];
  readonly profile: Profile;
}

function scan(lines: readonly string[]): Result {
  const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
  const profile = new Profile();
  const scanner = new LineScanner(bytes, isAscii(bytes), profile, ACCEPTED_MS);
  let start = 0;
  const rows = lines.map((line) => {
    const end = start + Buffer.byteLength(line);
    const row = scanner.accept(start, end);
    start = end + 1;
    return row;
  });
  return { rows, profile };
}

/** The slow way; undefined where it refuses. */
function parse(lines: readonly string[], taken: readonly unknown[] = lines): Result {
  const profile = new Profile();
  const rows = lines.map((line, index) => {
    if (taken[index] === undefined) return undefined;
    const parsed = parseLine(index, Buffer.from(line));
    if (parsed === undefined || parsed.error !== undefined) return undefined;
    try {
      return acceptRow(parsed.row, ACCEPTED_MS, profile);
    } catch (error) {
      assert.ok(error instanceof MiniodbError);
      return undefined;
    }
  });
  return { rows, profile };
}

/** What the scanner takes, it takes as the slow way does. @returns how many lines it took */
function checkAgainstSlowWay(lines: readonly string[]): number {
  const scanned = scan(lines);
  const parsed = parse(lines, scanned.rows);
  assert.deepEqual(scanned.rows.map(storedForm), parsed.rows.map(storedForm));
  assert.deepEqual(scanned.profile, parsed.profile);
  return scanned.rows.filter((row) => row !== undefined).length;
}

function storedForm(row: AcceptedRow | undefined): object | undefined {
  if (row === undefined) return undefined;
  const { lines, lineAt, lineEnd, ...rest } = row;
  return { ...rest, line: lines.toString('utf8', lineAt, lineEnd) };
}

function line(payload: string): string {
  return `{"id":"a","timestamp":1767225600000,"payload":${payload}}`;
}

const TAKEN = [
  '{}',
  '{"a":1,"b":-2,"c":0,"d":123456789012345}',
  '{"a":1.5,"b":-0.5,"c":0.000001,"d":12345678.1234567,"e":0.8234923492341234}',
  '{"a":20.0,"b":12.50,"c":0.0}',
  '{"a":9007199254740993,"b":-1152921504606846976,"c":9007199254740992,"d":8999999999999999}',
  '{"a":9223372036854775807,"b":-9223372036854775808,"c":9223372036854775808}',
  '{"a":true,"b":false,"c":"text","d":""}',
  '{"a":"line\\nbreak \\"quoted\\" \\\\ \\t\\b\\f\\r"}',
  '{"grüße":"日本語 😀 \u2028 \u007f"}',
  '{"a":null}',
  '{"a":null,"b":1}',
  '{"a":1,"b":null}',
  '{"a":1,"b":null,"c":2,"d":null,"e":null}',
  '{ "a" : 1 , "b" : null , "c" : "x" }',
  '{"":1,"id":2,"timestamp":"x","payload":true,"a\u007fb":1}',
];

test('the scanner takes the common forms of a row', () => {
  for (const payload of TAKEN) assert.equal(checkAgainstSlowWay([line(payload)]), 1, payload);
  assert.equal(checkAgainstSlowWay(TAKEN.map(line)), TAKEN.length);
});

test('the scanner takes an envelope in any order, without a timestamp, with blanks or a carriage return', () => {
  const lines = [
    '{"payload":{"a":1},"id":"b","timestamp":1}',
    '{"id":"b","payload":{"a":1}}',
    '{ "id": "b", "timestamp": 9007199254740, "payload": {"a": 1} }\r',
    '{"id":"日本","payload":{}}',
    `{"id":"${'x'.repeat(1024)}","payload":{}}`,
  ];
  assert.equal(checkAgainstSlowWay(lines), lines.length);
});

test('the scanner leaves alone what needs more than a look', () => {
  const payloads = [
    '{"a":1,"a":2}',
    '{"a":1,"a":null}',
    '{"a":null,"a":1}',
    '{"__proto__":1}',
    '{"1":1}',
    '{"a":[1]}',
    '{"a":{"b":1}}',
    '{"a":-0}',
    '{"a":-0.0}',
    '{"a":1e3}',
    '{"a":1.5E3}',
    '{"a":0.0000001}',
    '{"a":0.30000000000000001}',
    '{"a":12345678901234567.5}',
    '{"a":12345678901234567.0}',
    '{"a":99999999999999999999}',
    '{"a":9999999999999999999}',
    '{"a":"\\u0041"}',
    '{"a":"\\/"}',
    '{"\\u0061":1}',
    '{"a":"\ud800"}'.replace('\ud800', '\\ud800'),
  ];
  for (const payload of payloads) assert.equal(checkAgainstSlowWay([line(payload)]), 0, payload);
});

test('the scanner takes no line that is refused', () => {
  const lines = [
    '',
    '{',
    '{}',
    'null',
    '"id""a"',
    '{"id""a","payload":{}}',
    '{"id":"a","payload":{},}',
    '{"id":"a","payload":{"a":1,}}',
    '{"id":"a","payload":{,}}',
    '{"id":"a","payload":{"a"1}}',
    '{"id":"a","payload":{"a":}}',
    '{"id":"a","payload":{"a":01}}',
    '{"id":"a","payload":{"a":1.}}',
    '{"id":"a","payload":{"a":.5}}',
    '{"id":"a","payload":{"a":-}}',
    '{"id":"a","payload":{"a":+1}}',
    '{"id":"a","payload":{"a":tru}}',
    '{"id":"a","payload":{"a":truex}}',
    '{"id":"a","payload":{"a":"\t"}}',
    '{"id":"a","payload":{"a":"x}}',
    '{"id":"a","payload":{"a":1}',
    '{"id":"a","payload":{"a":1}}}',
    '{"id":"a","payload":{"a":1}} x',
    '{"id":"a","id":"b"}',
    '{"id":"","payload":{}}',
    '{"id":1,"payload":{}}',
    '{"payload":{}}',
    '{"id":"a"}',
    '{"id":"a","payload":[]}',
    '{"id":"a","payload":1}',
    '{"id":"a","timestamp":1.5,"payload":{}}',
    '{"id":"a","timestamp":,"payload":{}}',
    '{"id":"a","timestamp":01,"payload":{}}',
    '{"id":"a","timestamp":999999999999999,"payload":{}}',
    '{"id":"a","other":1,"payload":{}}',
    `{"id":"${'x'.repeat(1025)}","payload":{}}`,
    `{"id":"${'é'.repeat(513)}","payload":{}}`,
  ];
  for (const text of lines) {
    assert.deepEqual(parse([text]).rows, [undefined], text);
    assert.equal(checkAgainstSlowWay([text]), 0, text);
  }
});

test('a line that is not taken leaves nothing in the profile', () => {
  const { rows, profile } = scan([line('{"a":1,"b":[]}'), line('{"c":1}x')]);
  assert.deepEqual(rows, [undefined, undefined]);
  assert.equal(profile.types.size, 0);
});

const NAME = fc.constantFrom('a', 'ab', 'b', 'c', 'ä', '', 'id', '0', '1x', '__proto__', 'a b', 'A');
const DIGITS = fc
  .stringMatching(/^-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?$/)
  .map((text) => text.replace(/^(-?)0+(?=[0-9])/, '$1'));
const VALUE = fc.oneof(
  fc.constantFrom('null', 'true', 'false', '{}', '[1, 2]', '{"a":{"1":2,"a":null}}'),
  DIGITS,
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.double({ min: -1e-3, max: 1e-3, noNaN: true }).map(String),
  fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }).map(String),
  fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text)),
  fc.constantFrom('"\\u00e9"', '"\\/"', '"\\ud800"', '"\\n"'),
);
const BLANKS = fc.constantFrom('', '', '', ' ', '  ', '\t');
const PAYLOAD = fc
  .array(fc.tuple(NAME, VALUE, BLANKS, BLANKS), { maxLength: 6 })
  .map(
    (members) =>
      `{${members.map(([name, value, before, behind]) => `${before}${JSON.stringify(name)}${behind}:${before}${value}${behind}`).join(',')}}`,
  );

test('whatever the payload is, the scanner does as the slow way does', () => {
  fc.assert(
    fc.property(fc.array(PAYLOAD, { minLength: 1, maxLength: 5 }), (payloads) => {
      checkAgainstSlowWay(payloads.map(line));
    }),
    { numRuns: 2_000 },
  );
});

test('whatever byte of a line is changed, the scanner takes nothing that the slow way refuses', () => {
  const texts = TAKEN.map(line);
  const change = fc.constantFrom('', '"', '\\', ',', ':', '{', '}', '0', '.', '-', ' ', 'e', 'x', '\r', 'n');
  fc.assert(
    fc.property(fc.constantFrom(...texts), fc.nat(), change, (text, at, other) => {
      const position = at % text.length;
      const changed = text.slice(0, position) + other + text.slice(position + 1);
      // Half of a surrogate pair is no UTF-8.
      fc.pre(changed.isWellFormed());
      checkAgainstSlowWay([changed, text]);
    }),
    { numRuns: 5_000 },
  );
});
