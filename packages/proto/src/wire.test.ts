import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { WIRE, WireReader } from './wire.ts';

type Field = readonly [number: number, type: number, content: Uint8Array];

function walk(bytes: Uint8Array): { fields: Field[]; malformed: boolean } {
  const fields: Field[] = [];
  const reader = new WireReader(bytes);
  while (reader.next()) fields.push([reader.field, reader.wireType, bytes.slice(reader.start, reader.end)]);
  return { fields, malformed: reader.malformed };
}

const number = fc.integer({ min: 1, max: 2 ** 29 - 1 });
const field: fc.Arbitrary<Field> = fc.oneof(
  fc.tuple(number, fc.constant(WIRE.LENGTH), fc.uint8Array({ maxLength: 300 })),
  fc.tuple(number, fc.constant(WIRE.FIXED64), fc.uint8Array({ minLength: 8, maxLength: 8 })),
  fc.tuple(number, fc.constant(WIRE.FIXED32), fc.uint8Array({ minLength: 4, maxLength: 4 })),
  fc.tuple(
    number,
    fc.constant(WIRE.VARINT),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => new BinaryWriter().uint64(value).finish()),
  ),
);

function encode(fields: readonly Field[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const [fieldNumber, type, content] of fields) {
    writer.tag(fieldNumber, type);
    if (type === WIRE.LENGTH) writer.bytes(content);
    else writer.raw(content);
  }
  return writer.finish();
}

test('every message is walked field by field, as the library wrote it', () => {
  fc.assert(
    fc.property(fc.array(field, { maxLength: 10 }), (fields) => {
      const walked = walk(encode(fields));
      assert.equal(walked.malformed, false);
      assert.deepEqual(
        walked.fields.map(([fieldNumber, type, content]) => [fieldNumber, type, [...content]]),
        fields.map(([fieldNumber, type, content]) => [fieldNumber, type, [...content]]),
      );
    }),
  );
});

test('any bytes are walked to their end or called malformed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const { fields, malformed } = walk(bytes);
      assert.ok(malformed || fields.length > 0 || bytes.length === 0);
      for (const [fieldNumber] of fields) assert.ok(fieldNumber >= 1 && fieldNumber < 2 ** 29);
    }),
    { numRuns: 2000 },
  );
});

test('lengths beyond the message, field 0, groups and endless varints are malformed', () => {
  const malformed = {
    'length beyond the end': [0x0a, 0x05, 0x00],
    'length of 2^63': [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    'field 0': [0x02, 0x00],
    group: [0x0b, 0x0c],
    'varint of eleven bytes': [0x08, ...Array.from({ length: 10 }, () => 0x80), 0x01],
    'cut varint': [0x08, 0x80],
    'cut fixed64': [0x09, 1, 2, 3],
  };
  for (const [what, bytes] of Object.entries(malformed)) {
    assert.deepEqual(walk(Buffer.from(bytes)), { fields: [], malformed: true }, what);
  }
});
