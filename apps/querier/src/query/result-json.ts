import {
  type DuckDBDataChunk,
  type DuckDBType,
  DuckDBTypeId,
  type DuckDBValue,
} from '@miniodb/core/duckdb/instance.ts';

/** Turns values of one column, nulls aside, into JSON text. */
type ToJson = (value: never) => string;

/**
 * The JSON of results: integers and decimals exact, doubles shortest, NaN and infinities null, timestamps RFC 3339 in
 * UTC, JSON embedded, lists, structs and maps as arrays and objects.
 */
export class RowWriter {
  readonly #keys: readonly string[];
  readonly #writers: readonly ToJson[];

  constructor(names: readonly string[], types: readonly DuckDBType[]) {
    this.#keys = names.map((name) => `${JSON.stringify(name)}:`);
    this.#writers = types.map(jsonWriter);
  }

  /** Row objects, comma between them, no brackets around. */
  rows(chunk: DuckDBDataChunk): string {
    const columns = this.#writers.map((write, index) =>
      chunk.getColumnValues(index).map((value) => (value === null ? 'null' : write(value as never))),
    );
    const rows: string[] = new Array(chunk.rowCount);
    for (let row = 0; row < rows.length; row++) {
      let text = '{';
      for (let column = 0; column < columns.length; column++) {
        text += `${column === 0 ? '' : ','}${this.#keys[column]}${columns[column]![row]}`;
      }
      rows[row] = `${text}}`;
    }
    return rows.join(',');
  }
}

/**
 * Result columns may share a name; members of an object may not. The second `a` becomes `a:1`, as DuckDB names it
 * in a subquery.
 */
export function distinctNames(names: readonly string[]): string[] {
  const taken = new Set(names);
  const seen = new Set<string>();
  return names.map((name) => {
    let distinct = name;
    if (seen.has(name)) {
      for (let n = 1; taken.has(distinct) || seen.has(distinct); n++) distinct = `${name}:${n}`;
    }
    seen.add(distinct);
    return distinct;
  });
}

/** As SQL spells it; JSON is a text for DuckDB and a type for people. */
export function typeName(type: DuckDBType): string {
  return type.alias ?? type.toString();
}

function jsonWriter(type: DuckDBType): ToJson {
  switch (type.typeId) {
    case DuckDBTypeId.BOOLEAN:
    case DuckDBTypeId.TINYINT:
    case DuckDBTypeId.SMALLINT:
    case DuckDBTypeId.INTEGER:
    case DuckDBTypeId.BIGINT:
    case DuckDBTypeId.HUGEINT:
    case DuckDBTypeId.UTINYINT:
    case DuckDBTypeId.USMALLINT:
    case DuckDBTypeId.UINTEGER:
    case DuckDBTypeId.UBIGINT:
    case DuckDBTypeId.UHUGEINT:
    case DuckDBTypeId.BIGNUM:
    case DuckDBTypeId.DECIMAL:
      return (value: unknown) => String(value);
    case DuckDBTypeId.DOUBLE:
      // JSON.stringify is shortest and makes NaN and infinities null.
      return (value: number) => JSON.stringify(value);
    case DuckDBTypeId.FLOAT:
      return (value: number) => shortestFloat(value);
    case DuckDBTypeId.VARCHAR:
      return type.alias === 'JSON' ? embedded : (value: string) => JSON.stringify(value);
    case DuckDBTypeId.TIMESTAMP:
    case DuckDBTypeId.TIMESTAMP_TZ:
      return (value: { micros: bigint; isFinite: boolean }) => timestamp(value.isFinite, value.micros, 6);
    case DuckDBTypeId.TIMESTAMP_S:
      return (value: { seconds: bigint; isFinite: boolean }) => timestamp(value.isFinite, value.seconds, 0);
    case DuckDBTypeId.TIMESTAMP_MS:
      return (value: { millis: bigint; isFinite: boolean }) => timestamp(value.isFinite, value.millis, 3);
    case DuckDBTypeId.TIMESTAMP_NS:
      return (value: { nanos: bigint; isFinite: boolean }) => timestamp(value.isFinite, value.nanos, 9);
    case DuckDBTypeId.DATE:
      return (value: { isFinite: boolean }) => (value.isFinite ? JSON.stringify(String(value)) : 'null');
    case DuckDBTypeId.BLOB:
      return (value: { bytes: Uint8Array }) => `"${Buffer.from(value.bytes).toString('base64')}"`;
    case DuckDBTypeId.LIST:
    case DuckDBTypeId.ARRAY: {
      const item = nullable(jsonWriter(type.valueType));
      return (value: { items: readonly DuckDBValue[] }) => `[${value.items.map(item).join(',')}]`;
    }
    case DuckDBTypeId.STRUCT: {
      const fields = type.entryNames.map((name, index) => ({
        name,
        key: `${JSON.stringify(name)}:`,
        write: nullable(jsonWriter(type.entryTypes[index]!)),
      }));
      return (value: { entries: Readonly<Record<string, DuckDBValue>> }) =>
        `{${fields.map(({ name, key, write }) => key + write(value.entries[name]!)).join(',')}}`;
    }
    case DuckDBTypeId.MAP: {
      const write = nullable(jsonWriter(type.valueType));
      const writeKey = jsonWriter(type.keyType);
      return (value: { entries: readonly { key: DuckDBValue; value: DuckDBValue }[] }) =>
        `{${value.entries.map((entry) => `${mapKey(writeKey(entry.key as never))}:${write(entry.value)}`).join(',')}}`;
    }
    case DuckDBTypeId.UNION: {
      const members = new Map(
        type.memberTags.map((tag, index) => [tag, nullable(jsonWriter(type.memberTypes[index]!))]),
      );
      return (value: { tag: string; value: DuckDBValue }) => members.get(value.tag)!(value.value);
    }
    default:
      // TIME, INTERVAL, UUID, ENUM, BIT and what later versions add: as DuckDB would cast them to text.
      return (value: unknown) => JSON.stringify(String(value));
  }
}

function nullable(write: ToJson): (value: DuckDBValue) => string {
  return (value) => (value === null ? 'null' : write(value as never));
}

/** Keys of objects are texts. */
function mapKey(json: string): string {
  return json.startsWith('"') ? json : JSON.stringify(json);
}

/**
 * DuckDB's JSON allows NaN, infinities and trailing commas, which JSON does not. Almost no text looks like it has
 * one, so only those that do are parsed (10 MB: 70 ms to look, 120 ms to parse).
 */
function embedded(text: string): string {
  if (!/nan|inf|,\s*[\]}]/i.test(text)) return text;
  try {
    JSON.parse(text);
    return text;
  } catch {
    return JSON.stringify(text);
  }
}

/** The fewest digits that are this 32-bit float. */
function shortestFloat(value: number): string {
  if (!Number.isFinite(value)) return 'null';
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return String(short);
  }
  return String(Number(value.toPrecision(9)));
}

/** @param count of units of 10^-scale seconds since 1970 UTC; the fraction is as long as it must be */
function timestamp(finite: boolean, count: bigint, scale: number): string {
  if (!finite) return 'null';
  const unitsPerSecond = 10n ** BigInt(scale);
  let seconds = count / unitsPerSecond;
  let units = count % unitsPerSecond;
  if (units < 0n) {
    seconds -= 1n;
    units += unitsPerSecond;
  }
  const date = new Date(Number(seconds) * 1000);
  // DuckDB reaches further than JavaScript's dates (±271,821 years): no RFC 3339 there.
  if (Number.isNaN(date.getTime())) return 'null';
  const whole = date.toISOString().slice(0, -5);
  const fraction = units === 0n ? '' : `.${units.toString().padStart(scale, '0').replace(/0+$/, '')}`;
  return `"${whole}${fraction}Z"`;
}
