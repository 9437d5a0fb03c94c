import type { TableView } from './output-table.ts';
import { escapedJson } from './output-text.ts';
import { type Row, textOf } from './query-rows.ts';
import { printable } from './terminal.ts';

export const FORMATS = ['table', 'json', 'csv', 'ndjson'] as const;

/** Rows of a table for people: who wants more wants a program to read it. */
export const TABLE_ROWS_MAX = 1_000;
/** Rows that are made into text before it is written. */
const CHUNK_ROWS = 1_000;

export interface Column {
  readonly name: string;
  /** As SQL spells it. */
  readonly type: string;
}

const NUMBERS = /^(U?(TINY|SMALL|BIG|HUGE)?INT|U?INTEGER|FLOAT|DOUBLE|BIGNUM|DECIMAL(\(\d+, ?\d+\))?)$/;

/** Of at most TABLE_ROWS_MAX rows. */
export function resultView(columns: readonly Column[], rows: readonly Row[]): TableView {
  return {
    columns: columns.map(({ name, type }) => ({ name, isNumber: NUMBERS.test(type) })),
    rows: rows.slice(0, TABLE_ROWS_MAX).map((row) => columns.map(({ name }) => textOf(row[name]) ?? '')),
  };
}

/** One row object a line. */
export function* ndjson(rows: readonly Row[]): Generator<string> {
  yield* chunked(rows, (row) => escapedJson(JSON.stringify(row)));
}

/**
 * RFC 4180 but for line ends, which are newlines alone. A null is nothing, an empty text is "", objects and arrays are
 * their JSON. On a terminal control characters are replaced; elsewhere texts are what they are.
 */
export function* csv(
  columns: readonly Column[],
  rows: readonly Row[],
  isTerminal: boolean,
): Generator<string> {
  const clean = isTerminal ? printable : (text: string) => text;
  const cell = (text: string | undefined) => (text === undefined ? '' : csvCell(clean(text)));
  yield `${columns.map(({ name }) => cell(name)).join(',')}\n`;
  yield* chunked(rows, (row) => columns.map(({ name }) => cell(textOf(row[name]))).join(','));
}

function csvCell(text: string): string {
  return text === '' || /[",\n\r]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function* chunked(rows: readonly Row[], line: (row: Row) => string): Generator<string> {
  for (let from = 0; from < rows.length; from += CHUNK_ROWS) {
    yield rows
      .slice(from, from + CHUNK_ROWS)
      .map((row) => `${line(row)}\n`)
      .join('');
  }
}
