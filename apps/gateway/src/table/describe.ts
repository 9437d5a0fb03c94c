import { matchesGlob } from '@miniodb/core/auth/grants.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { describeTables, type TableReport } from '@miniodb/core/table/describe.ts';
import type { CallContext, TableDescription, TableInfo, TableStats } from '../api.ts';
import { type ManageContext, requireKnowable } from './manage.ts';
import { tableNotFound } from './tables.ts';

const PATTERN_LENGTH_MAX = 256;

/** Throws `invalid_pattern`. */
export async function listTables(
  context: ManageContext,
  pattern: string,
  { principal: { grants } }: CallContext,
): Promise<TableInfo[]> {
  if (pattern.length > PATTERN_LENGTH_MAX) {
    throw new MiniodbError('invalid_argument', `the pattern is longer than ${PATTERN_LENGTH_MAX}`, {
      code: 'invalid_pattern',
    });
  }
  const glob = pattern === '' ? '*' : pattern.toLowerCase();
  const names = [...(await context.tables.names())]
    .filter((name) => grants.allow('read', name) || grants.allow('admin', name))
    .filter((name) => matchesGlob(glob, name))
    .sort();
  const { redis, fixed, defaults } = context;
  return (await describeTables(redis, fixed, defaults, names, false)).map(infoOf);
}

/** Throws `table_not_found`. */
export async function describeTable(
  context: ManageContext,
  name: string,
  { principal }: CallContext,
): Promise<TableDescription> {
  const table = context.tables.canonical(name);
  requireKnowable(principal, table);
  const report = await readTable(context, table);
  if (report === undefined) throw tableNotFound(name);
  const columns = [...report.schema.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return { info: infoOf(report), stats: statsOf(report), columns };
}

/** @param table in key form */
export async function readTable(
  { redis, fixed, defaults }: ManageContext,
  table: string,
): Promise<TableReport | undefined> {
  const [report] = await describeTables(redis, fixed, defaults, [table], true);
  return report;
}

export function infoOf({ table, inherited, createdAt, lastWrite }: TableReport): TableInfo {
  const { name, config, status } = table;
  return { name, config, inherited, createdAt, lastWrite, status };
}

function statsOf(report: TableReport): TableStats {
  return {
    recordCount: report.records,
    fileCount: report.files,
    sizeBytes: report.fileBytes,
    oldestRecord: report.oldest,
    newestRecord: report.newest,
    pendingRows: report.pendingRows,
    pendingBytes: report.pendingBytes,
  };
}
