import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import fc from 'fast-check';
import { parseExactJson } from './exact-json.ts';

function refusal(text: string): MiniodbError {
  try {
    parseExactJson(text);
  } catch (error) {
    assert.ok(error instanceof MiniodbError);
    return error;
  }
  assert.fail(`${text.slice(0, 40)} should have been refused`);
}

test('integers beyond 2^53 keep their digits', () => {
  for (const digits of ['9007199254740993', '-9007199254740993', '1152921504606846976', '9'.repeat(400)]) {
    assert.equal(JSON.stringify(parseExactJson(`{"a":[${digits}]}`)), `{"a":[${digits}]}`);
  }
});

test('every integer of any size survives, and the small ones are plain numbers', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }), (integer) => {
      const [value] = parseExactJson(`[${integer}]`) as [unknown];
      assert.equal(JSON.stringify(value), String(integer));
      assert.equal(typeof value, integer >= -(2n ** 53n) && integer <= 2n ** 53n ? 'number' : 'object');
    }),
  );
});

test('numbers beyond the range of doubles keep their text, others with an exponent are doubles', () => {
  assert.equal(JSON.stringify(parseExactJson('[1e400,-1e400,1.5e3]')), '[1e400,-1e400,1500]');
});

test('every other JSON value reads as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      // As text, because an integer such as 10^20 keeps its digits and is then no number.
      assert.equal(JSON.stringify(parseExactJson(text)), JSON.stringify(JSON.parse(text)));
      // The exponent in front sends the rest through the slow way.
      assert.equal(JSON.stringify(parseExactJson(`[1e1,${text}]`)), JSON.stringify([10, JSON.parse(text)]));
    }),
  );
});

test('of duplicate keys the last wins, and __proto__ is an ordinary key', () => {
  const value = parseExactJson('{"a":1,"a":9007199254740993,"__proto__":{"polluted":1e400}}') as object;
  assert.deepEqual(Object.keys(value), ['a', '__proto__']);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.equal(JSON.stringify(value), '{"a":9007199254740993,"__proto__":{"polluted":1e400}}');
});

test('bad JSON is refused with its position', () => {
  const error = refusal('{"a":1,}');
  assert.deepEqual(
    [error.kind, error.code, error.details],
    ['invalid_argument', 'invalid_json', { position: 7 }],
  );
  assert.equal(refusal('').code, 'invalid_json');
});

test('nesting beyond the stack is refused, not a crash', () => {
  const deep = `${'['.repeat(100_000)}1e4${']'.repeat(100_000)}`;
  assert.equal(refusal(deep).code, 'json_too_deep');
});
