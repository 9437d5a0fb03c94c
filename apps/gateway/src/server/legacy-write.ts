import { STRUCT_DEPTH_MAX } from '@miniodb/proto/struct.ts';
import { WIRE, WireReader } from '@miniodb/proto/wire.ts';

/**
 * Whether these bytes are a WriteRequest of a client from before tables: id 1, timestamp 2, payload 3, instead of
 * table 1, id 2, timestamp 3, payload 4. Decided before decoding, because decoders disagree about the wrong form.
 *
 * Legacy is only what cannot be anything else: field 4 is absent, field 2 is exactly a Timestamp, field 3 is exactly
 * a Struct with at least one field, every wire type is right, nothing is repeated and nothing is unknown. A request
 * of the new form is never taken for one: with a payload it has field 4, and without one its field 3 is a Timestamp,
 * whose fields are varints where a Struct's are not.
 */
export function isLegacyWrite(bytes: Uint8Array): boolean {
  const seen = new Set<number>();
  const fields = new WireReader(bytes);
  while (fields.next()) {
    const { field, wireType, start, end } = fields;
    if (field > 3 || wireType !== WIRE.LENGTH || seen.has(field)) return false;
    seen.add(field);
    if (field === 2 && !isTimestamp(bytes, start, end)) return false;
    if (field === 3 && (start === end || !isStruct(bytes, start, end, 1))) return false;
  }
  return !fields.malformed && seen.has(2) && seen.has(3);
}

function isTimestamp(bytes: Uint8Array, start: number, end: number): boolean {
  let last = 0;
  const fields = new WireReader(bytes, start, end);
  while (fields.next()) {
    if (fields.wireType !== WIRE.VARINT || fields.field > 2 || fields.field === last) return false;
    last = fields.field;
  }
  return !fields.malformed;
}

/** What is deeper than the decoder goes is not looked at: the decoder refuses it with a better reason. */
function isStruct(bytes: Uint8Array, start: number, end: number, depth: number): boolean {
  if (depth > STRUCT_DEPTH_MAX) return true;
  const entries = new WireReader(bytes, start, end);
  while (entries.next()) {
    if (entries.field !== 1 || entries.wireType !== WIRE.LENGTH) return false;
    if (!isEntry(bytes, entries.start, entries.end, depth)) return false;
  }
  return !entries.malformed;
}

function isEntry(bytes: Uint8Array, start: number, end: number, depth: number): boolean {
  const parts = new WireReader(bytes, start, end);
  while (parts.next()) {
    if (parts.field > 2 || parts.wireType !== WIRE.LENGTH) return false;
    if (parts.field === 2 && !isValue(bytes, parts.start, parts.end, depth)) return false;
  }
  return !parts.malformed;
}

function isValue(bytes: Uint8Array, start: number, end: number, depth: number): boolean {
  const kinds = new WireReader(bytes, start, end);
  while (kinds.next()) {
    if (kinds.field > 6 || kinds.wireType !== VALUE_WIRE_TYPES[kinds.field]) return false;
    if (kinds.field === 5 && !isStruct(bytes, kinds.start, kinds.end, depth + 1)) return false;
    if (kinds.field === 6 && !isList(bytes, kinds.start, kinds.end, depth + 1)) return false;
  }
  return !kinds.malformed;
}

/** By field number: null, number, string, bool, struct, list. */
const VALUE_WIRE_TYPES = [
  undefined,
  WIRE.VARINT,
  WIRE.FIXED64,
  WIRE.LENGTH,
  WIRE.VARINT,
  WIRE.LENGTH,
  WIRE.LENGTH,
] as const;

function isList(bytes: Uint8Array, start: number, end: number, depth: number): boolean {
  if (depth > STRUCT_DEPTH_MAX) return true;
  const items = new WireReader(bytes, start, end);
  while (items.next()) {
    if (items.field !== 1 || items.wireType !== WIRE.LENGTH) return false;
    if (!isValue(bytes, items.start, items.end, depth)) return false;
  }
  return !items.malformed;
}
