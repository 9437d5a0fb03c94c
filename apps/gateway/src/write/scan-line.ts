import { type AcceptedRow, ID_BYTES_MAX, type Profile } from './accept.ts';
import {
  CARRIAGE_RETURN,
  CLOSE,
  COLON,
  COMMA,
  NOWHERE,
  OPEN,
  QUOTE,
  skipBlanks,
  skipDigits,
  skipPlain,
  skipWord,
  ZERO,
} from './json-bytes.ts';
import { PayloadScanner } from './scan-payload.ts';

/**
 * Rows of NDJSON accepted straight from their bytes: checked, profiled, and their payload's text taken over. It knows
 * only lines whose stored form is plain to see, and leaves all others, good and bad, to JSON.parse and acceptRow (the
 * slow way): it never refuses a row itself. What it takes, the slow way takes with the same result to the byte.
 *
 * It leaves: values that are objects or arrays, strings with \u or \/, numbers with an exponent and those that
 * JSON.stringify writes differently (but zeros at the end of a fraction, which it cuts), fields that occur twice, names
 * with escapes, names that start with a digit (as properties they change places), `__proto__`, timestamps that are
 * text, white space other than blanks, long lines, and rows that conflict with their columns where that is refused.
 *
 * Measured for rows of 8 fields and 215 bytes on the main thread: 1.2 us a row, against 4.9 for decode, JSON.parse,
 * acceptRow and JSON.stringify; of the whole gateway, with its threads, 3.9 against 9.2.
 */

/** Longer lines are rare, and the limits on a row's bytes and fields are the slow way's alone. */
const LINE_BYTES_MAX = 65_536;
/** Longer ones are beyond the year 5138. */
const EPOCH_DIGITS_MAX = 14;

/** By how much a stored line may be longer than the line it is made from: by the timestamp it gets. */
const LINE_GROWTH_MAX = 64;
/** Of a further buffer when the first is full: that needs a request of tiny rows without timestamps. */
const LINES_BYTES = 262_144;

const ID_NAME = Buffer.from('"id"');
const TIMESTAMP_NAME = Buffer.from('"timestamp"');
const PAYLOAD_NAME = Buffer.from('"payload"');
/** By the first letter. */
const MEMBER_NAMES: ReadonlyMap<number, Uint8Array> = new Map(
  [ID_NAME, TIMESTAMP_NAME, PAYLOAD_NAME].map((name) => [name[1]!, name]),
);
/** The parts of a stored line, see core/table/row-line.ts. */
const ID_PREFIX = Buffer.from('{"i":');
const TIME_PREFIX = Buffer.from(',"t":');
const THOUSAND = Buffer.from('000');
const PAYLOAD_PREFIX = Buffer.from(',"p":');
const LINE_END = Buffer.from('}\n');

export class LineScanner {
  readonly #bytes: Buffer;
  readonly #payload: PayloadScanner;
  readonly #acceptedMicros: number;
  readonly #acceptedText: Buffer;
  /** Where the accepted rows' lines go. Most lines are shorter than what they are made from. */
  #lines: Buffer;
  #linesEnd = 0;

  /** @param bytes valid UTF-8 */
  constructor(bytes: Buffer, isAscii: boolean, profile: Profile, acceptedMs: number) {
    this.#bytes = bytes;
    this.#payload = new PayloadScanner(bytes, isAscii, profile);
    this.#acceptedMicros = Number.isInteger(acceptedMs) ? acceptedMs * 1_000 : Number.NaN;
    this.#acceptedText = Buffer.from(String(this.#acceptedMicros));
    this.#lines = Buffer.allocUnsafeSlow(bytes.length + LINE_GROWTH_MAX);
  }

  /**
   * @param end where the line's newline is
   * @returns undefined: not known here, ask the slow way
   */
  accept(start: number, end: number): AcceptedRow | undefined {
    const bytes = this.#bytes;
    if (bytes[start] !== OPEN || end - start > LINE_BYTES_MAX) return undefined;
    let idAt = NOWHERE;
    let idEnd = NOWHERE;
    let timeAt = NOWHERE;
    let timeEnd = NOWHERE;
    let payloadEnd = NOWHERE;
    let at = start;
    do {
      at = skipBlanks(bytes, at + 1);
      const name = MEMBER_NAMES.get(bytes[at + 1]!);
      const value = name === undefined ? NOWHERE : this.#memberAt(at, name);
      if (value === NOWHERE) return undefined;
      if (name === ID_NAME && idAt === NOWHERE) {
        idAt = value;
        at = skipPlain(bytes, idAt + 1);
        if (bytes[idAt] !== QUOTE || bytes[at] !== QUOTE) return undefined;
        at += 1;
        idEnd = at;
      } else if (name === TIMESTAMP_NAME && timeAt === NOWHERE) {
        timeAt = value;
        at = skipDigits(bytes, timeAt);
        timeEnd = at;
      } else if (name === PAYLOAD_NAME && payloadEnd === NOWHERE) {
        at = this.#payload.scan(value);
        if (at === NOWHERE) return undefined;
        payloadEnd = at;
      } else return undefined;
      at = skipBlanks(bytes, at);
    } while (bytes[at] === COMMA);
    if (bytes[at] !== CLOSE) return undefined;
    at = skipBlanks(bytes, at + 1);
    if (bytes[at] === CARRIAGE_RETURN) at += 1;
    const idBytes = idEnd - idAt - 2;
    if (at !== end || payloadEnd === NOWHERE || idBytes < 1 || idBytes > ID_BYTES_MAX) return undefined;
    const micros = timeAt === NOWHERE ? this.#acceptedMicros : this.#microsAt(timeAt, timeEnd);
    if (!Number.isSafeInteger(micros)) return undefined;
    if (!this.#payload.addToProfile()) return undefined;
    const lineAt = this.#startLine(end - start + LINE_GROWTH_MAX);
    this.#copy(ID_PREFIX, 0, ID_PREFIX.length);
    this.#copy(bytes, idAt, idEnd);
    this.#copy(TIME_PREFIX, 0, TIME_PREFIX.length);
    if (timeAt === NOWHERE) this.#copy(this.#acceptedText, 0, this.#acceptedText.length);
    else {
      this.#copy(bytes, timeAt, timeEnd);
      this.#copy(THOUSAND, 0, THOUSAND.length);
    }
    this.#copy(PAYLOAD_PREFIX, 0, PAYLOAD_PREFIX.length);
    const { kept, from } = this.#payload;
    if (kept !== '') this.#linesEnd += this.#lines.write(kept, this.#linesEnd, 'latin1');
    this.#linesEnd += bytes.copy(this.#lines, this.#linesEnd, from, payloadEnd);
    this.#copy(LINE_END, 0, LINE_END.length);
    return {
      id: this.#payload.textOf(idAt + 1, idEnd - 1),
      lines: this.#lines,
      lineAt,
      lineEnd: this.#linesEnd,
      micros,
      exactMicros: undefined,
    };
  }

  /** @returns where the member's value is; NOWHERE when it has another name */
  #memberAt(at: number, name: Uint8Array): number {
    const behind = skipWord(this.#bytes, at, name);
    if (behind === NOWHERE) return NOWHERE;
    const colon = skipBlanks(this.#bytes, behind);
    return this.#bytes[colon] === COLON ? skipBlanks(this.#bytes, colon + 1) : NOWHERE;
  }

  /** @returns NaN when it is not to be written as it stands with three zeros behind */
  #microsAt(start: number, end: number): number {
    const digits = end - start;
    if (digits < 1 || digits > EPOCH_DIGITS_MAX || this.#bytes[start] === ZERO) return Number.NaN;
    let ms = 0;
    for (let at = start; at < end; at += 1) ms = ms * 10 + (this.#bytes[at]! - ZERO);
    return ms * 1_000;
  }

  /** Makes room for a line. @returns where it starts */
  #startLine(bytesMax: number): number {
    if (this.#lines.length - this.#linesEnd < bytesMax) {
      this.#lines = Buffer.allocUnsafeSlow(Math.max(bytesMax, LINES_BYTES));
      this.#linesEnd = 0;
    }
    return this.#linesEnd;
  }

  /** For a few bytes: a call of Buffer.copy costs as much as 50 of them. */
  #copy(source: Uint8Array, start: number, end: number): void {
    const lines = this.#lines;
    let to = this.#linesEnd;
    for (let at = start; at < end; at += 1) {
      lines[to] = source[at]!;
      to += 1;
    }
    this.#linesEnd = to;
  }
}
