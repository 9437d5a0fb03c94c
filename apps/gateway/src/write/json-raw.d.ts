/** Of ECMAScript's JSON.parse source text access; in Node since 21, in TypeScript's libraries not yet. */
interface RawJson {
  readonly rawJSON: string;
}

interface JSON {
  /** @param text of one primitive JSON value, which JSON.stringify then writes as it is */
  rawJSON(text: string): RawJson;
  isRawJSON(value: unknown): value is RawJson;
  parse(
    text: string,
    reviver: (key: string, value: unknown, context?: { source?: string }) => unknown,
  ): unknown;
}
