/**
 * The stored form of a row between accept and flush: one line of NDJSON in a batch's payload, format version 1.
 *
 *   {"i":"<id>","t":<microseconds since 1970 UTC, decimal>,"p":{<payload, as accepted>}}
 *
 * A batch's payload is one or more zstd frames of such lines; payloads may be concatenated. Numbers in `p` keep
 * the exact source text wherever a double could not hold them. `t` reaches beyond 2^53: read it as text or int64.
 * The flusher adds `"o":{…}`, the overflow, to lines that have one; see encode/overflow.ts.
 * @param timestampMicros decimal text
 * @param payloadJson text of a JSON object
 */
export function rowLine(id: string, timestampMicros: string, payloadJson: string): string {
  return `{"i":${JSON.stringify(id)},"t":${timestampMicros},"p":${payloadJson}}\n`;
}
