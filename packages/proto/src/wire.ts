/** Wire types that proto3 uses; groups are not among them. */
export const WIRE = { VARINT: 0, FIXED64: 1, LENGTH: 2, FIXED32: 5 } as const;

const FIELD_NUMBER_MAX = 2 ** 29 - 1;

/**
 * Walks the fields of one encoded message without knowing its type, and never throws. After `next()` answered true,
 * `field` and `wireType` say what is there and `start` to `end` where its value is (of a LENGTH: its content).
 * After it answered false, `malformed` says whether it stopped because the bytes are no message.
 */
export class WireReader {
  readonly bytes: Uint8Array;
  field = 0;
  wireType = 0;
  start: number;
  end: number;
  malformed = false;
  readonly #stop: number;
  #next: number;
  /** Of the varint read last: its value when it is below 2^53. */
  #varint = 0;

  constructor(bytes: Uint8Array, start = 0, stop = bytes.length) {
    this.bytes = bytes;
    this.#next = start;
    this.start = start;
    this.end = start;
    this.#stop = stop;
  }

  next(): boolean {
    if (this.malformed || this.#next === this.#stop) return false;
    if (!this.#readVarint(this.#next)) return this.#fail();
    this.wireType = this.#varint % 8;
    this.field = Math.floor(this.#varint / 8);
    if (this.field === 0 || this.field > FIELD_NUMBER_MAX) return this.#fail();
    this.start = this.end;
    if (!this.#readValue()) return this.#fail();
    this.#next = this.end;
    return true;
  }

  /** Whether the VARINT that is there has any bit set. */
  isTrue(): boolean {
    return this.#varint !== 0;
  }

  #readValue(): boolean {
    switch (this.wireType) {
      case WIRE.VARINT:
        return this.#readVarint(this.start);
      case WIRE.FIXED64:
        this.end = this.start + 8;
        break;
      case WIRE.FIXED32:
        this.end = this.start + 4;
        break;
      case WIRE.LENGTH:
        if (!this.#readVarint(this.start)) return false;
        this.start = this.end;
        this.end = this.start + this.#varint;
        break;
      default:
        return false;
    }
    return this.end <= this.#stop;
  }

  /** Leaves `end` after it. False beyond ten bytes or beyond the message. */
  #readVarint(from: number): boolean {
    let value = 0;
    let factor = 1;
    for (let at = from; at < this.#stop && at < from + 10; at += 1) {
      const byte = this.bytes[at]!;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        this.#varint = value;
        this.end = at + 1;
        return true;
      }
      factor *= 128;
    }
    return false;
  }

  #fail(): false {
    this.malformed = true;
    return false;
  }
}
