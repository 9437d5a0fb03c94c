import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { decodeUtf8 } from './utf8.ts';
import { WIRE } from './wire.ts';

/** Objects and arrays inside each other, the payload itself counted. */
export const STRUCT_DEPTH_MAX = 100;

/**
 * Decodes an encoded google.protobuf.Struct straight into a plain object.
 *
 * The generated decoder copies every object three times, stops at 33 levels, takes NaN, repairs invalid UTF-8 silently
 * and lets a key named `__proto__` set the prototype. For a payload of 10 fields it needs 2.9 µs, this one 2.3 µs.
 *
 * @param bytes a Struct; a Buffer is read in place. Throws `invalid_argument`.
 */
export function decodeStruct(bytes: Uint8Array): Record<string, unknown> {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return new StructDecoder(buffer).struct(buffer.length, 1);
}

/** Fields by their tags: field number and wire type in one number. */
const TAG = {
  STRUCT_ENTRY: 8 + WIRE.LENGTH,
  ENTRY_KEY: 8 + WIRE.LENGTH,
  ENTRY_VALUE: 16 + WIRE.LENGTH,
  LIST_ITEM: 8 + WIRE.LENGTH,
  NULL: 8 + WIRE.VARINT,
  NUMBER: 16 + WIRE.FIXED64,
  STRING: 24 + WIRE.LENGTH,
  BOOLEAN: 32 + WIRE.VARINT,
  STRUCT: 40 + WIRE.LENGTH,
  LIST: 48 + WIRE.LENGTH,
} as const;

/** A cursor: every method starts at `position` and leaves it behind what it read, which ends at `end`. */
class StructDecoder {
  readonly #bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  struct(end: number, depth: number): Record<string, unknown> {
    checkDepth(depth);
    const object: Record<string, unknown> = {};
    while (this.#position < end) {
      const tag = this.#varint(end);
      if (tag === TAG.STRUCT_ENTRY) this.#entry(this.#contentEnd(end), object, depth);
      else this.#skip(tag, end);
    }
    return object;
  }

  #entry(end: number, into: Record<string, unknown>, depth: number): void {
    let key = '';
    let value: unknown = null;
    while (this.#position < end) {
      const tag = this.#varint(end);
      if (tag === TAG.ENTRY_KEY) key = this.#text(end);
      // Encoders write the key first; of one that does not, messages name no key.
      else if (tag === TAG.ENTRY_VALUE) value = this.#value(this.#contentEnd(end), depth, key);
      else this.#skip(tag, end);
    }
    setOwn(into, key, value);
  }

  /** A Value of no kind at all is null. @param key of the nearest object, for messages */
  #value(end: number, depth: number, key: string): unknown {
    let value: unknown = null;
    while (this.#position < end) {
      const tag = this.#varint(end);
      switch (tag) {
        case TAG.NULL:
          this.#varint(end);
          value = null;
          break;
        case TAG.NUMBER:
          value = finite(this.#double(end), key);
          break;
        case TAG.STRING:
          value = this.#text(end);
          break;
        case TAG.BOOLEAN:
          value = this.#varint(end) !== 0;
          break;
        case TAG.STRUCT:
          value = this.struct(this.#contentEnd(end), depth + 1);
          break;
        case TAG.LIST:
          value = this.#list(this.#contentEnd(end), depth + 1, key);
          break;
        default:
          this.#skip(tag, end);
      }
    }
    return value;
  }

  #list(end: number, depth: number, key: string): unknown[] {
    checkDepth(depth);
    const list: unknown[] = [];
    while (this.#position < end) {
      const tag = this.#varint(end);
      if (tag === TAG.LIST_ITEM) list.push(this.#value(this.#contentEnd(end), depth, key));
      else this.#skip(tag, end);
    }
    return list;
  }

  /** Exact up to 2^53; beyond, it is still not 0, and larger than every length. */
  #varint(end: number): number {
    const bytes = this.#bytes;
    let position = this.#position;
    let value = 0;
    for (let factor = 1; position < end && position < this.#position + 10; factor *= 128) {
      const byte = bytes[position]!;
      position += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        this.#position = position;
        return value;
      }
    }
    throw malformed();
  }

  /** Reads a length. @returns where the content ends that begins at `position` */
  #contentEnd(end: number): number {
    const length = this.#varint(end);
    const contentEnd = this.#position + length;
    if (contentEnd > end) throw malformed();
    return contentEnd;
  }

  #text(end: number): string {
    const contentEnd = this.#contentEnd(end);
    const start = this.#position;
    this.#position = contentEnd;
    return decodeUtf8(this.#bytes, start, contentEnd);
  }

  #double(end: number): number {
    const start = this.#position;
    this.#advance(8, end);
    return this.#bytes.readDoubleLE(start);
  }

  #advance(byteCount: number, end: number): void {
    this.#position += byteCount;
    if (this.#position > end) throw malformed();
  }

  /** An unknown field, or a known one of another wire type. */
  #skip(tag: number, end: number): void {
    if (tag < 8) throw malformed();
    switch (tag % 8) {
      case WIRE.VARINT:
        this.#varint(end);
        break;
      case WIRE.FIXED64:
        this.#advance(8, end);
        break;
      case WIRE.LENGTH:
        this.#position = this.#contentEnd(end);
        break;
      case WIRE.FIXED32:
        this.#advance(4, end);
        break;
      default:
        throw malformed();
    }
  }
}

/** Assigning to `__proto__` would set the prototype; as an own property it is a key like any other. */
function setOwn(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') object[key] = value;
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

function checkDepth(depth: number): void {
  if (depth <= STRUCT_DEPTH_MAX) return;
  throw new MiniodbError('invalid_argument', `payload: more than ${STRUCT_DEPTH_MAX} levels deep`, {
    code: 'payload_too_deep',
  });
}

function malformed(): MiniodbError {
  return new MiniodbError('invalid_argument', 'payload: not an encoded google.protobuf.Struct', {
    code: 'malformed_message',
  });
}

function finite(value: number, key: string): number {
  if (Number.isFinite(value)) return value;
  throw new MiniodbError(
    'invalid_argument',
    `payload: ${value} at key ${JSON.stringify(key)} is not a number of JSON`,
    {
      code: 'number_not_finite',
    },
  );
}
