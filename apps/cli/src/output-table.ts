import Table from 'cli-table3';
import { cellText } from './output-text.ts';

export interface TableView {
  readonly columns: readonly TableColumn[];
  readonly rows: readonly (readonly string[])[];
}

export interface TableColumn {
  readonly name: string;
  /** Numbers stand to the right. */
  readonly isNumber?: boolean;
}

/** Of a table of one column. */
const BORDERS = 2;
/** A column narrower than this, padding included, says nothing. */
const COLUMN_WIDTH_MIN = 6;
/** More of one cell than any terminal shows, and as much as measuring it may cost. */
const CELL_CHARS_MAX = 1_000;

/**
 * A box no wider than `width`: wide columns give way first and are cut with …; columns for which there is no room are
 * left out and counted below. Ends with a newline.
 */
export function renderTable({ columns, rows }: TableView, width: number): string {
  const heads = columns.map(({ name }) => bounded(name));
  const cells = rows.map((row) => row.map(bounded));
  const natural = heads.map((head, index) => naturalWidth(head, cells, index));
  const widths = fitWidths(
    natural,
    columns.map(({ isNumber }) => isNumber === true),
    width,
  );
  const table = new Table({
    head: heads.slice(0, widths.length),
    colWidths: [...widths],
    style: { head: [], border: [], compact: true },
    colAligns: columns.map(({ isNumber }) => (isNumber === true ? 'right' : 'left')),
  });
  for (const row of cells) table.push(row.slice(0, widths.length));
  const hidden = heads.length - widths.length;
  const more = `… and ${hidden} more column${hidden === 1 ? '' : 's'}: ${heads.slice(widths.length).join(', ')}`;
  return `${table.toString()}\n${hidden === 0 ? '' : `${cut(more, width)}\n`}`;
}

/**
 * Column widths for a table of at most `width`, borders included; fewer than given where not all have room. Texts give way
 * before numbers: part of a number is another number.
 */
export function fitWidths(
  natural: readonly number[],
  isNumber: readonly boolean[],
  width: number,
): readonly number[] {
  let shown = natural.length;
  while (shown > 1 && total(natural.slice(0, shown).map(least)) > width) shown--;
  const columns = natural.slice(0, shown);
  const numbers = columns.map((one, index) => (isNumber[index] === true ? one : least(one)));
  const floors = total(numbers) <= width ? numbers : columns.map(least);
  return shrunk(columns, floors, width);
}

function least(natural: number): number {
  return Math.min(natural, COLUMN_WIDTH_MIN);
}

/** The widest give way down to their floors, until the whole fits. */
function shrunk(natural: readonly number[], floors: readonly number[], width: number): readonly number[] {
  const capped = (cap: number) => natural.map((one, index) => Math.max(Math.min(one, cap), floors[index]!));
  let cap = Math.max(...natural);
  while (cap > COLUMN_WIDTH_MIN && total(capped(cap)) > width) cap--;
  let rest = width - total(capped(cap));
  return capped(cap).map((one, index) => {
    if (rest <= 0 || one >= natural[index]!) return one;
    rest--;
    return one + 1;
  });
}

/** With the borders. */
function total(widths: readonly number[]): number {
  return widths.reduce((sum, one) => sum + one, widths.length + 1);
}

/** The library measures (a character may take two columns): the first line of a table is its border. */
function naturalWidth(head: string, cells: readonly (readonly string[])[], index: number): number {
  const column = new Table({ head: [head], style: { head: [], border: [], compact: true } });
  for (const row of cells) column.push([row[index] ?? '']);
  return column.width - BORDERS;
}

function bounded(text: string): string {
  return cut(cellText(text.slice(0, 2 * CELL_CHARS_MAX)), CELL_CHARS_MAX);
}

function cut(text: string, chars: number): string {
  return text.length <= chars ? text : `${text.slice(0, chars - 1)}…`;
}
