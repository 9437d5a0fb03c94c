/**
 * Timestamps of rows: microseconds since 1970 UTC, from year 0001 to 9999, spoken as decimal text because they
 * reach beyond 2^53. Finer digits are cut.
 */

const MIN_MS = Date.parse('0001-01-01T00:00:00.000Z');
const MAX_MS = Date.parse('9999-12-31T23:59:59.999Z');
/** Up to here milliseconds times 1,000 is an exact double. */
const EXACT_MS_MAX = Math.floor(Number.MAX_SAFE_INTEGER / 1_000) - 1;

/** @param ms whole milliseconds since 1970; @param micros 0 to 999 of them. undefined when out of range. */
export function micros(ms: number, micros: number): string | undefined {
  if (!Number.isInteger(ms) || ms < MIN_MS || ms > MAX_MS) return undefined;
  if (ms > -EXACT_MS_MAX && ms < EXACT_MS_MAX) return String(ms * 1_000 + micros);
  return String(BigInt(ms) * 1_000n + BigInt(micros));
}

const RFC_3339 =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,12}))?(?:([Zz])|([+-])(\d{2}):(\d{2}))$/;

/** RFC 3339 with any fraction and offset. undefined when it is not one, or out of range. */
export function microsFromRfc3339(text: string): string | undefined {
  const match = RFC_3339.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  // A leap second is the last second of its minute: there is no other place for it.
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const midnight = new Date(0);
  midnight.setUTCFullYear(year, month - 1, day);
  if (
    midnight.getUTCFullYear() !== year ||
    midnight.getUTCMonth() !== month - 1 ||
    midnight.getUTCDate() !== day
  ) {
    return undefined;
  }
  let offsetMinutes = 0;
  if (match[8] === undefined) {
    const hours = Number(match[10]);
    const minutes = Number(match[11]);
    if (hours > 23 || minutes > 59) return undefined;
    offsetMinutes = (match[9] === '-' ? -1 : 1) * (hours * 60 + minutes);
  }
  const fraction = (match[7] ?? '').padEnd(6, '0').slice(0, 6);
  const seconds = hour * 3_600 + minute * 60 + Math.min(second, 59) - offsetMinutes * 60;
  return micros(
    midnight.getTime() + seconds * 1_000 + Number(fraction.slice(0, 3)),
    Number(fraction.slice(3)),
  );
}

/** RFC 3339 UTC with six digits: texts of it compare as the times do. @param timestampMicros decimal text */
export function rfc3339FromMicros(timestampMicros: string): string {
  const total = BigInt(timestampMicros);
  let ms = total / 1_000n;
  let rest = total % 1_000n;
  if (rest < 0n) {
    ms -= 1n;
    rest += 1_000n;
  }
  return `${new Date(Number(ms)).toISOString().slice(0, -1)}${String(rest).padStart(3, '0')}Z`;
}

/** RFC 3339 UTC with six digits of a clock reading in milliseconds. */
export function rfc3339FromMs(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, -1)}000Z`;
}
