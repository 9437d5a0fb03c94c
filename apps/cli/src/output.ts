import type { Writable } from 'node:stream';
import type { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { renderTable, type TableView } from './output-table.ts';
import { escapedJson } from './output-text.ts';
import { printable } from './terminal.ts';

/** Where there is no terminal to ask. */
const WIDTH_DEFAULT = 80;
const HEIGHT_DEFAULT = 24;
/** Below this nothing is readable, and an odd setting of the terminal is likelier. */
const WIDTH_MIN = 40;

export type OutputStream = Writable & {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
};

/** What a command says. Every write has been taken when its promise ends: the process may exit then. No colours. */
export class Output {
  readonly #out: OutputStream;
  readonly #err: Writable;
  #isClosed = false;

  constructor(out: OutputStream, err: Writable) {
    this.#out = out;
    this.#err = err;
    for (const stream of [out, err]) {
      // Kept for good: a stream says so at any time, and without a listener that ends the process.
      stream.on('error', () => {
        this.#isClosed = true;
      });
    }
  }

  get isTerminal(): boolean {
    return this.#out.isTTY === true;
  }

  /** Whether the reader has gone away. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  get width(): number {
    return this.isTerminal ? Math.max(WIDTH_MIN, this.#out.columns ?? WIDTH_DEFAULT) : WIDTH_DEFAULT;
  }

  get height(): number {
    return this.#out.rows ?? HEIGHT_DEFAULT;
  }

  /** As it is: what comes from data must have been made printable. */
  async write(text: string): Promise<void> {
    await written(this.#out, text);
  }

  async line(text = ''): Promise<void> {
    await this.write(`${printable(text)}\n`);
  }

  async table(view: TableView): Promise<void> {
    await this.write(renderTable(view, this.width));
  }

  /** JSON text of the API, on one line. */
  async json(text: string): Promise<void> {
    await this.write(`${escapedJson(text)}\n`);
  }

  async error(error: MiniodbError, asJson: boolean): Promise<void> {
    const { message, code, details } = error;
    const problem = details?.problem ?? { success: false, code, message };
    const text = asJson
      ? escapedJson(JSON.stringify(problem))
      : printable(`error: ${message} (${code})`).replaceAll('\n', '\n  ');
    await written(this.#err, `${text}\n`);
  }
}

function written(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => (error ? reject(error) : resolve()));
  });
}
