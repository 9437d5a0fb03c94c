import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { micros, microsFromRfc3339, rfc3339FromMicros } from './timestamp.ts';

test('RFC 3339 with fractions and offsets becomes microseconds, finer digits cut', () => {
  const cases: [string, string][] = [
    ['1970-01-01T00:00:00Z', '0'],
    ['2024-01-05T10:11:12.123456789Z', '1704449472123456'],
    ['2024-01-05T10:11:12.1+02:00', '1704442272100000'],
    ['2024-02-29t23:59:59-23:59', '1709337539000000'],
    ['1969-12-31T23:59:59.999999Z', '-1'],
    ['0001-01-01T00:00:00Z', '-62135596800000000'],
    ['9999-12-31T23:59:59.999999Z', '253402300799999999'],
  ];
  for (const [text, expected] of cases) assert.equal(microsFromRfc3339(text), expected, text);
});

test('what is no timestamp, or outside the years 0001 to 9999, is none', () => {
  const bad = [
    '',
    'now',
    '2024-02-30T00:00:00Z',
    '2023-02-29T00:00:00Z',
    '2024-13-01T00:00:00Z',
    '2024-01-01T24:00:00Z',
    '2024-01-01T00:60:00Z',
    '2024-01-01T00:00:00',
    '2024-01-01 00:00:00+2500',
    '2024-01-01T00:00:00+24:00',
    '0000-12-31T23:59:59Z',
    '0001-01-01T00:00:00+00:01',
    '9999-12-31T23:59:59-00:01',
    '12024-01-01T00:00:00Z',
  ];
  for (const text of bad) assert.equal(microsFromRfc3339(text), undefined, text);
  for (const ms of [1e18, -1e18, Number.NaN, 1.5, Number.POSITIVE_INFINITY])
    assert.equal(micros(ms, 0), undefined);
});

test('every microsecond of the range survives the way to text and back, and texts order as times', () => {
  const anyMicros = fc.bigInt({ min: -62_135_596_800_000_000n, max: 253_402_300_799_999_999n });
  fc.assert(
    fc.property(anyMicros, anyMicros, (a, b) => {
      const textA = rfc3339FromMicros(a.toString());
      assert.equal(microsFromRfc3339(textA), a.toString());
      assert.equal(a < b, textA < rfc3339FromMicros(b.toString()));
    }),
  );
});
