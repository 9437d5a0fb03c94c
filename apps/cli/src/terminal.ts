import type { Writable } from 'node:stream';
import Table from 'cli-table3';

/** What a command shows people. On a terminal the latest progress is one line that changes; elsewhere it is left out. */
export class Terminal {
  readonly #out: Writable;
  readonly #live: boolean;
  #progressShown = false;

  constructor(out: Writable & { readonly isTTY?: boolean }) {
    this.#out = out;
    this.#live = out.isTTY === true;
  }

  line(text = ''): void {
    this.#clearProgress();
    this.#out.write(`${printable(text)}\n`);
  }

  progress(text: string): void {
    if (!this.#live) return;
    this.#clearProgress();
    this.#out.write(printable(text));
    this.#progressShown = true;
  }

  /** @param rows objects with the fields of `columns`, which also gives their order */
  table(columns: readonly string[], rows: readonly Readonly<Record<string, unknown>>[]): void {
    const table = new Table({
      head: columns.map(printable),
      style: { head: [], border: [], compact: true },
      colAligns: columns.map((column) => (typeof rows[0]?.[column] === 'number' ? 'right' : 'left')),
    });
    for (const row of rows) table.push(columns.map((column) => printable(cell(row[column]))));
    this.#clearProgress();
    this.#out.write(`${table.toString()}\n`);
  }

  #clearProgress(): void {
    if (this.#progressShown) this.#out.write('\r\u001b[K');
    this.#progressShown = false;
  }
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Stored text reaches terminals through us: it must not move their cursor or set their title. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
}
