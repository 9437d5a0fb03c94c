import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import fc from 'fast-check';
import { Struct, Value } from './gen/google/protobuf/struct.ts';
import { decodeStruct, STRUCT_DEPTH_MAX } from './struct.ts';

function encode(object: Record<string, unknown>): Uint8Array {
  return Struct.encode(Struct.wrap(object)).finish();
}

function codeOf(bytes: Uint8Array): string {
  try {
    decodeStruct(bytes);
  } catch (error) {
    assert.ok(error instanceof MiniodbError && error.kind === 'invalid_argument', String(error));
    return error.code;
  }
  return 'accepted';
}

/** One field of wire type LENGTH. */
function field(number: number, content: Uint8Array): Buffer {
  assert.ok(content.length < 128);
  return Buffer.concat([Buffer.from([number * 8 + 2, content.length]), content]);
}

test('whatever JSON object a client encodes comes back the same', () => {
  const key = fc.string().filter((name) => name !== '__proto__');
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constant(null),
      fc.boolean(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.string({ unit: 'binary' }).map((text) => text.toWellFormed()),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    ),
  }));
  fc.assert(
    fc.property(fc.dictionary(key, value, { noNullPrototype: true }), (object) => {
      assert.deepEqual(decodeStruct(encode(object)), object);
    }),
  );
});

test('minus zero stays minus zero', () => {
  assert.ok(Object.is(decodeStruct(encode({ zero: -0 })).zero, -0));
});

test('numbers that JSON does not have are refused by name', () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    assert.equal(codeOf(encode({ outer: { reading: [value] } })), 'number_not_finite');
  }
  assert.throws(() => decodeStruct(encode({ reading: Number.NaN })), /NaN at key "reading"/);
});

test('a key named __proto__ is a key and pollutes nothing', () => {
  const entry = Buffer.concat([
    field(1, Buffer.from('__proto__')),
    field(2, Value.encode(Value.wrap({ polluted: true })).finish()),
  ]);
  const object = decodeStruct(field(1, entry));
  assert.deepEqual(Object.keys(object), ['__proto__']);
  assert.equal(Object.getPrototypeOf(object), Object.prototype);
  assert.equal(object.polluted, undefined);
});

test('nesting is taken up to its limit and refused beyond it, however deep', () => {
  assert.equal(codeOf(chainOfLists(STRUCT_DEPTH_MAX)), 'accepted');
  assert.equal(codeOf(chainOfLists(STRUCT_DEPTH_MAX + 1)), 'payload_too_deep');
  assert.equal(codeOf(chainOfLists(10_000)), 'payload_too_deep');
});

/** One key with lists inside lists, built from the inside: the generated encoder would run out of stack. */
function chainOfLists(levels: number): Buffer {
  let value: Buffer = Buffer.alloc(0);
  for (let level = 1; level < levels; level += 1) value = long(6, level === 1 ? value : long(1, value));
  return long(1, Buffer.concat([field(1, Buffer.from('k')), long(2, value)]));
}

function long(number: number, content: Buffer): Buffer {
  const header = [number * 8 + 2];
  let length = content.length;
  for (; length > 127; length = Math.floor(length / 128)) header.push((length % 128) | 128);
  return Buffer.concat([Buffer.from([...header, length]), content]);
}

test('a value of no kind is null, and the last of a repeated key wins', () => {
  const entry = (value: Buffer) => field(1, Buffer.concat([field(1, Buffer.from('k')), value]));
  assert.deepEqual(decodeStruct(entry(Buffer.alloc(0))), { k: null });
  const twice = Buffer.concat([entry(Buffer.alloc(0)), entry(field(2, field(3, Buffer.from('last'))))]);
  assert.deepEqual(decodeStruct(twice), { k: 'last' });
});

test('text that is not UTF-8 is refused, and a real U+FFFD is not', () => {
  assert.equal(
    codeOf(field(1, Buffer.concat([field(1, Buffer.from([0xff])), field(2, Buffer.alloc(0))]))),
    'invalid_utf8',
  );
  assert.deepEqual(decodeStruct(encode({ k: '\ufffd' })), { k: '\ufffd' });
});

test('any bytes are decoded or refused, and nothing else happens', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      assert.match(codeOf(bytes), /^(accepted|malformed_message|number_not_finite|invalid_utf8)$/);
    }),
    { numRuns: 2000 },
  );
});

test('a Struct that was cut anywhere is refused or is a shorter Struct, never read beyond its end', () => {
  const bytes = Buffer.from(encode({ a: 'text', b: [1, { c: true }], d: 2.5 }));
  const whole = JSON.stringify(decodeStruct(bytes));
  for (let end = 0; end < bytes.length; end += 1) {
    const cut = Buffer.concat([bytes, bytes]).subarray(0, end);
    if (codeOf(cut) === 'accepted') assert.ok(JSON.stringify(decodeStruct(cut)).length < whole.length);
  }
});
