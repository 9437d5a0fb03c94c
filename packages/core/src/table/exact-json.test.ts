import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isRawNumber, parseExact } from './exact-json.ts';

test('numbers that a double does not hold keep their text', () => {
  for (const text of ['9007199254740993', '-9007199254740993', '1e400', '-1.5e400', '9'.repeat(400)]) {
    for (const around of [text, `[${text}]`, `{"a": ${text}}`, `{"a":{"b":[1,${text}]}}`]) {
      assert.equal(JSON.stringify(parseExact(around)), around.replaceAll(' ', ''));
    }
  }
});

test('numbers that a double holds are numbers', () => {
  assert.deepEqual(
    parseExact('[1, 0.1, 1e23, -0, 9007199254740991, 12345678901234567.5, 1e-400]'),
    [1, 0.1, 1e23, -0, 9007199254740991, 12345678901234568, 0],
  );
});

test('every integer comes back with its digits', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), (integer) => {
      assert.equal(JSON.stringify(parseExact(`[${integer}]`)), `[${integer}]`);
    }),
  );
});

test('digits inside strings change nothing', () => {
  const text = '{"a":"9007199254740993","b":" 1e400","c":[",1e5"]}';
  assert.deepEqual(parseExact(text), JSON.parse(text));
});

test('a field named __proto__ is a field', () => {
  const parsed = parseExact('{"__proto__":9007199254740993}') as object;
  assert.ok(isRawNumber(Object.getOwnPropertyDescriptor(parsed, '__proto__')?.value));
});
