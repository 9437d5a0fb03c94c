import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Struct } from '@miniodb/proto/gen/google/protobuf/struct.ts';
import { LegacyWriteRequestView } from '@miniodb/proto/gen/miniodb/internal/v1/write_view.ts';
import { WriteRequest } from '@miniodb/proto/gen/olap/v1/olap.ts';
import fc from 'fast-check';
import { isLegacyWrite } from './legacy-write.ts';

const timestamp = fc.record({
  seconds: fc.bigInt({ min: -62_135_596_800n, max: 253_402_300_799n }),
  nanos: fc.integer({ min: 0, max: 999_999_999 }),
});
const payload = fc
  .dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }), { noNullPrototype: true })
  .map(
    (object) =>
      JSON.parse(JSON.stringify(object).replaceAll('__proto__', 'proto')) as Record<string, unknown>,
  );
const text = fc.string({ unit: 'binary', maxLength: 40 }).map((value) => value.toWellFormed());

function legacy(
  id: string,
  stamp: { seconds: bigint; nanos: number } | undefined,
  object: Record<string, unknown>,
) {
  const encoded = Struct.encode(Struct.wrap(object)).finish();
  return Buffer.from(LegacyWriteRequestView.encode({ id, timestamp: stamp, payload: encoded }).finish());
}

const STAMP = { seconds: 1_700_000_000n, nanos: 5 };

describe('a request of today', () => {
  test('is never taken for a legacy one, whatever is in it', () => {
    const request = fc.record({
      table: text,
      id: fc.oneof(text, timestampText(), structText()),
      timestamp: fc.option(timestamp, { nil: undefined }),
      payload: fc.option(payload, { nil: undefined }),
    });
    fc.assert(
      fc.property(request, (message) => {
        assert.equal(isLegacyWrite(WriteRequest.encode(message).finish()), false);
      }),
      { numRuns: 3000 },
    );
  });
});

/** Ids whose bytes happen to be a Timestamp or a Struct: what a careless test of field 2 would fall for. */
function timestampText() {
  return fc.integer({ min: 0, max: 127 }).map((seconds) => Buffer.from([0x08, seconds]).toString());
}

function structText() {
  return text
    .filter((value) => Buffer.byteLength(value) < 40)
    .map((key) => {
      const name = Buffer.from(key);
      return Buffer.concat([Buffer.from([0x0a, name.length + 2, 0x0a, name.length]), name]).toString();
    });
}

describe('a legacy request', () => {
  test('is recognised with any id, time and non-empty payload', () => {
    const some = payload.filter((object) => Object.keys(object).length > 0);
    fc.assert(
      fc.property(text, timestamp, some, (id, stamp, object) => {
        assert.equal(isLegacyWrite(legacy(id, stamp, object)), true);
      }),
      { numRuns: 1000 },
    );
  });

  test('of the epoch, whose Timestamp is empty, is one too', () => {
    assert.equal(isLegacyWrite(legacy('id', { seconds: 0n, nanos: 0 }, { a: 1 })), true);
  });

  test('without a timestamp, or with an empty payload, is not legacy', () => {
    assert.equal(isLegacyWrite(legacy('id', undefined, { a: 1 })), false);
    assert.equal(isLegacyWrite(legacy('id', STAMP, {})), false);
  });

  test('with anything unknown, repeated or of another wire type is not legacy', () => {
    const whole = legacy('id', STAMP, { a: [1, 'x', { b: null }] });
    const field = (number: number, type: number, ...content: number[]) =>
      Buffer.from([number * 8 + type, ...content]);
    const stamp = field(2, 2, 2, 0x08, 1);
    const struct = field(3, 2, 4, 0x0a, 2, 0x0a, 0);
    assert.equal(isLegacyWrite(Buffer.concat([stamp, struct])), true);
    const others: Record<string, Buffer> = {
      'field 4': Buffer.concat([whole, field(4, 2, 0)]),
      'an unknown field': Buffer.concat([whole, field(9, 0, 1)]),
      'a second id': Buffer.concat([whole, field(1, 2, 0)]),
      'a numeric id': Buffer.concat([field(1, 0, 1), stamp, struct]),
      'an unknown field of the Timestamp': Buffer.concat([field(2, 2, 2, 0x18, 1), struct]),
      'seconds as text': Buffer.concat([field(2, 2, 3, 0x0a, 1, 0x31), struct]),
      'seconds twice': Buffer.concat([field(2, 2, 4, 0x08, 1, 0x08, 2), struct]),
      'an unknown field of the Struct': Buffer.concat([stamp, field(3, 2, 2, 0x12, 0)]),
      'a number as the key': Buffer.concat([stamp, field(3, 2, 4, 0x0a, 2, 0x08, 1)]),
      'a value of an unknown kind': Buffer.concat([stamp, field(3, 2, 6, 0x0a, 4, 0x12, 2, 0x38, 1)]),
      'a string value as varint': Buffer.concat([stamp, field(3, 2, 6, 0x0a, 4, 0x12, 2, 0x18, 1)]),
      'a list of something else': Buffer.concat([stamp, field(3, 2, 8, 0x0a, 6, 0x12, 4, 0x32, 2, 0x10, 1)]),
      'a cut end': whole.subarray(0, -1),
    };
    for (const [what, bytes] of Object.entries(others)) assert.equal(isLegacyWrite(bytes), false, what);
  });
});

test('any bytes are judged without a throw, however deep they nest', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      assert.equal(typeof isLegacyWrite(bytes), 'boolean');
    }),
    { numRuns: 3000 },
  );
  // Their first 100 levels are those of a Struct; the decoder will say that it is too deep.
  for (const level of [STRUCT_LEVEL, LIST_LEVEL]) {
    assert.equal(isLegacyWrite(Buffer.concat([Buffer.from([0x12, 0]), deepPayload(level, 100_000)])), true);
  }
});

/** Tags from the inside out: a struct_value, the value of an entry, an entry of a Struct. */
const STRUCT_LEVEL = [0x2a, 0x12, 0x0a];
/** An item of a list, and the list_value. */
const LIST_LEVEL = [0x0a, 0x32];

/** Field 3 with one key and values inside values: headers of nothing but lengths. */
function deepPayload(level: readonly number[], levels: number): Buffer {
  const headers: Buffer[] = [];
  let length = 0;
  const wrap = (tag: number) => {
    const header = [tag];
    let rest = length;
    for (; rest > 127; rest = Math.floor(rest / 128)) header.push((rest % 128) | 128);
    headers.push(Buffer.from([...header, rest]));
    length += headers.at(-1)!.length;
  };
  for (let count = 0; count < levels; count += 1) for (const tag of level) wrap(tag);
  // After lists: the value of an entry, and the entry. Then the field of the request.
  if (level === LIST_LEVEL) for (const tag of [0x12, 0x0a]) wrap(tag);
  wrap(0x1a);
  return Buffer.concat(headers.reverse());
}
