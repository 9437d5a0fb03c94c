import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkEscapes, itemTexts, payloadTextOf } from './payload-text.ts';

/** JSON text with white space between its tokens. */
const SPACE = fc.constantFrom('', '', ' ', '\n', '\t', '\r\n', '  ');
const STRING = fc.oneof(
  fc.string().map((text) => JSON.stringify(text)),
  fc.constantFrom('"\\\\"', '"\\""', '"}"', '"]"', '"{"', '"\\u0022"', '"a\\\\\\""', '"payload"'),
);
const { value: VALUE } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    STRING,
    fc.constantFrom('null', 'true', 'false', '0', '-1.50', '1e400', '1E+2', '12345678901234567890'),
    fc
      .tuple(fc.array(tie('value'), { maxLength: 4 }), SPACE)
      .map(([items, space]) => `[${space}${items.join(`${space},${space}`)}${space}]`),
    fc.tuple(fc.array(fc.tuple(STRING, tie('value')), { maxLength: 4 }), SPACE).map(([members, space]) => {
      const inner = members.map(([name, value]) => `${name}${space}:${space}${value}`);
      return `{${space}${inner.join(`${space},${space}`)}${space}}`;
    }),
  ),
}));

test('the text of a payload is found to the byte, wherever it stands', () => {
  fc.assert(
    fc.property(VALUE, VALUE, VALUE, SPACE, (payload, before, behind, space) => {
      const name = '"pay\\u006coad"';
      for (const spelled of ['"payload"', name]) {
        const text = `${space}{"id":${before},${space}${spelled}${space}:${space}${payload}${space},"x":${behind}}`;
        assert.equal(payloadTextOf(text), payload);
        assert.equal(payloadTextOf(`{${spelled}:${before},"payload":${payload}${space}}${space}`), payload);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('the items of an array are found to the byte', () => {
  fc.assert(
    fc.property(fc.array(VALUE, { maxLength: 6 }), SPACE, (items, space) => {
      const text = `\ufeff${space}[${space}${items.join(`${space},${space}`)}${space}]${space}`;
      assert.deepEqual(Array.from(itemTexts(text)), items);
    }),
  );
});

test('escapes of halves of surrogate pairs are refused wherever they stand, pairs and their spelling are not', () => {
  for (const text of [
    '{"a":"\\ud83d\\ude00"}',
    '{"a":"\\uD83D\\uDE00"}',
    '{"a":"\\\\ud800"}',
    '{"\\u0064800":1}',
  ]) {
    assert.doesNotThrow(() => checkEscapes(text), text);
  }
  for (const text of [
    '{"a":"\\ud800","a":1}',
    '{"\\uDC00":1}',
    '{"a":"\\ude00\\ud83d"}',
    '{"a":"\\ud83d\\ud83d\\ude00"}',
    '{"a":"\\\\\\ud800"}',
  ]) {
    assert.throws(() => checkEscapes(text), { code: 'invalid_text' }, text);
  }
});
