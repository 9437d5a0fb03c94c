import type { TableDescription } from './client-answers.ts';
import type { TableView } from './output-table.ts';
import { count, formatMib, formatNumber, formatTime } from './output-text.ts';
import { statsFields } from './table-describe.ts';

/** What was found, and when, on a clock that only goes forward. */
export interface Look<Found> {
  readonly found: Found;
  readonly atMs: number;
}

export function monitorView(tables: readonly TableDescription[]): TableView {
  return {
    columns: [
      { name: 'table' },
      { name: 'rows', isNumber: true },
      { name: 'pending', isNumber: true },
      { name: 'files', isNumber: true },
      { name: 'size', isNumber: true },
      { name: 'last write' },
    ],
    rows: tables.map(({ table_info: { name, status, last_write }, stats, pending_rows }) => [
      status === 'active' ? name : `${name} (${status})`,
      formatNumber(stats.record_count),
      formatNumber(pending_rows),
      formatNumber(stats.file_count),
      formatMib(stats.size_bytes),
      last_write === '' ? 'never' : formatTime(last_write),
    ]),
  };
}

/** @param before an earlier look at the same table, for how fast rows come */
export function tableLines(
  now: Look<TableDescription>,
  before: Look<TableDescription> | undefined,
): readonly (readonly [string, string])[] {
  const { table_info: info, pending_bytes } = now.found;
  const room = Number(info.config.max_pending_bytes);
  const paused = info.config.flush_paused === true ? ', flushing is paused' : '';
  return [
    ['table', `${info.name}, ${info.status}${paused}`],
    ...statsFields(now.found),
    ['pending room', `${formatNumber((100 * pending_bytes) / room)} % of ${formatMib(room)} is taken`],
    ...(before === undefined ? [] : ([['change', changes(now, before)]] as const)),
    ['columns', formatNumber(now.found.columns.length)],
    ['last write', info.last_write === '' ? 'never' : info.last_write],
  ];
}

function changes(now: Look<TableDescription>, before: Look<TableDescription>): string {
  const seconds = (now.atMs - before.atMs) / 1_000;
  const rows = now.found.stats.record_count - before.found.stats.record_count;
  const files = now.found.stats.file_count - before.found.stats.file_count;
  const signed = (value: number, what: string) => `${value > 0 ? '+' : ''}${count(value, what)}`;
  const perSecond = formatNumber(Math.round(rows / seconds));
  return `${signed(rows, 'row')} (${perSecond} a second), ${signed(files, 'file')} in ${formatNumber(seconds)} s`;
}
