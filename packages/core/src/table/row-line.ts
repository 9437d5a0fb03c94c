/**
 * The stored form of a row between accept and flush: one line of NDJSON in a batch's payload, format version 1.
 *
 *   {"i":"<id>","t":<microseconds since 1970 UTC, decimal>,"p":{<payload, as accepted>}}
 *
 * A row of a table that keeps them has the text of its payload as the client sent it as well:
 *
 *   {"i":…,"t":…,"r":"<JSON text of the payload, as sent>","p":…}
 *
 * `r` stands before `p`, so that the first `,"p":` of a line is the member's with and without it: inside a string a
 * quote has a backslash before it. Batches with such lines say so in their meta, which readers that do not know `r`
 * refuse (queue/batch-meta.ts).
 *
 * A batch's payload is one or more zstd frames of such lines; payloads may be concatenated. Numbers in `p` keep
 * the exact source text wherever a double could not hold them. `t` reaches beyond 2^53: read it as text or int64.
 * The flusher adds `"o":{…}`, the overflow, to lines that have one; see encode/overflow.ts.
 * @param timestampMicros decimal text
 * @param payloadJson text of a JSON object
 * @param rawPayload the payload's text as it was sent, well-formed, when it is kept
 */
export function rowLine(
  id: string,
  timestampMicros: string,
  payloadJson: string,
  rawPayload?: string,
): string {
  const raw = rawPayload === undefined ? '' : `"r":${JSON.stringify(rawPayload)},`;
  return `{"i":${JSON.stringify(id)},"t":${timestampMicros},${raw}"p":${payloadJson}}\n`;
}
