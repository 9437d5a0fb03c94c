import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExact } from './exact-json.ts';
import { fitsDouble, profileValue } from './profile.ts';

const PROFILES: Readonly<Record<string, ReturnType<typeof profileValue>>> = {
  null: 'null',
  true: 'boolean',
  '"text"': 'varchar',
  '""': 'varchar',
  '[1]': 'json',
  '{}': 'json',
  '0': 'int53',
  '1.0': 'int53',
  '1e3': 'int53',
  '9007199254740992': 'int53',
  '-9007199254740992': 'int53',
  '9007199254740993': 'int64',
  '9007199254740994': 'int64',
  '9223372036854775807': 'int64',
  '-9223372036854775808': 'int64',
  '9223372036854775808': 'double',
  '9223372036854775809': 'inexact',
  '-9223372036854775809': 'inexact',
  '100000000000000000000': 'double',
  '123456789012345678901234567890': 'inexact',
  '-0': 'double',
  '-0.0': 'double',
  '0.1': 'double',
  '1e20': 'double',
  '1e23': 'double',
  '5e-324': 'double',
  '1e400': 'inexact',
  '-1e400': 'inexact',
};

for (const [text, profile] of Object.entries(PROFILES)) {
  test(`${text} is profiled as ${profile}`, () => {
    assert.equal(profileValue(parseExact(text)), profile);
  });
}

test('an absent value is null, and doubles that no JSON has are inexact', () => {
  assert.equal(profileValue(undefined), 'null');
  for (const value of [Number.POSITIVE_INFINITY, Number.NaN]) assert.equal(profileValue(value), 'inexact');
});

test('an integral double beyond 2^53 without a text is a double', () => {
  assert.equal(profileValue(2 ** 60), 'double');
});

test('a million digits are inexact', () => {
  assert.equal(profileValue(parseExact('9'.repeat(1_000_000))), 'inexact');
});

test('what fits a double is exactly a double, decimals aside', () => {
  const fits = ['1', '0.1', '9007199254740994', '1e23', '100000000000000000000'];
  const fitsNot = ['9007199254740993', '1e400', '123456789012345678901234567890', '"1"', 'true', '[]'];
  for (const text of fits) assert.equal(fitsDouble(parseExact(text)), true, text);
  for (const text of fitsNot) assert.equal(fitsDouble(parseExact(text)), false, text);
});
