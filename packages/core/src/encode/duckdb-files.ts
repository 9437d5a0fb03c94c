import { join } from 'node:path';
import { assertInvariant } from '../runtime/errors.ts';
import { RAW_PAYLOAD_COLUMN, type TableSchema } from '../table/schema.ts';
import { digestOf } from './digest.ts';
import type { Session } from './duckdb-session.ts';
import {
  assignFilesSql,
  BOUNDS_SQL,
  copySql,
  DAYS_SQL,
  footerRowsSql,
  idsSql,
  planTableSql,
  presenceSql,
  topIdsSql,
} from './duckdb-sql.ts';
import { rowCountMismatch } from './encode-errors.ts';
import { ENTRY_IDS_MAX, type EncodedFile, type LayoutSettings } from './encoder.ts';
import { footerOf } from './footer.ts';
import type { DayGroups, IdGroup, PlannedFile } from './layout.ts';

/** From the working tables `r` and `g` (duckdb-sql.ts) to files. */
export interface FilesJob {
  readonly schema: TableSchema;
  readonly workDir: string;
  readonly footer: Readonly<Record<string, string>>;
  /** Of zstd. */
  readonly compressionLevel: number;
}

/** Every row of `r` in the file that the plan has for it. Throws unless they are as many as expected. */
export async function writeFiles(
  session: Session,
  job: FilesJob,
  plan: readonly PlannedFile[],
  rowsExpected: number,
): Promise<EncodedFile[]> {
  const facts = await assignFiles(session, plan, job.schema);
  assertInvariant(facts.length === plan.length, 'encode-plan', 'every planned file has rows');
  const files: EncodedFile[] = [];
  for (const [at, file] of plan.entries()) {
    files.push(await writeOneFile(session, job, file, facts[at]!, at + 1, plan.length));
  }
  const [[written]] = (await session.rows(footerRowsSql(files.map(({ path }) => path)))) as [[bigint]];
  if (Number(written) !== rowsExpected) throw rowCountMismatch(rowsExpected, Number(written));
  return files;
}

/** What each day of `g` holds. */
export async function summarise(session: Session, layout: LayoutSettings): Promise<DayGroups[]> {
  const days = (await session.rows(DAYS_SQL)) as [day: string, rows: bigint, ids: bigint][];
  const top = new Map<string, IdGroup[]>();
  if (layout.mode !== 'packed') {
    const groups = (await session.rows(topIdsSql(layout))) as [day: string, id: string, rows: bigint][];
    for (const [day, id, rows] of groups) {
      if (!top.has(day)) top.set(day, []);
      top.get(day)!.push({ id, rows: Number(rows) });
    }
  }
  return days.map(([day, rows, ids]) => ({
    day,
    rows: Number(rows),
    ids: Number(ids),
    top: top.get(day) ?? [],
  }));
}

/** What the footer and the index have to know of a file before and after it is written. */
interface FileFacts {
  readonly rows: number;
  readonly ids: number;
  readonly minTimestampMicros: string;
  readonly maxTimestampMicros: string;
  readonly minId: string;
  readonly maxId: string;
  /** For every column of the schema, in its order. */
  readonly hasColumn: readonly boolean[];
  readonly hasOverflow: boolean;
  readonly hasRaw: boolean;
  readonly fewIds: readonly string[] | undefined;
}

async function assignFiles(
  session: Session,
  plan: readonly PlannedFile[],
  schema: TableSchema,
): Promise<FileFacts[]> {
  const planTable = planTableSql(plan);
  await session.rows(planTable.sql, planTable.params);
  for (const sql of assignFilesSql(plan)) await session.rows(sql);
  const bounds = (await session.rows(BOUNDS_SQL)) as [bigint, bigint, bigint, bigint, string, string][];
  const presence = (await session.rows(presenceSql(schema))) as [boolean, boolean, ...boolean[]][];
  const withFewIds = bounds.flatMap(([, ids], at) => (ids <= ENTRY_IDS_MAX ? [at + 1] : []));
  const ids = withFewIds.length === 0 ? [] : ((await session.rows(idsSql(withFewIds))) as [number, string][]);
  const idsOf = Map.groupBy(ids, ([file]) => file);
  return bounds.map(([rows, idCount, first, last, minId, maxId], at) => {
    const [hasOverflow, hasRaw, ...hasColumn] = presence[at]!;
    return {
      rows: Number(rows),
      ids: Number(idCount),
      minTimestampMicros: String(first),
      maxTimestampMicros: String(last),
      minId,
      maxId,
      hasColumn,
      hasOverflow,
      hasRaw,
      fewIds: idsOf.get(at + 1)?.map(([, id]) => id),
    };
  });
}

async function writeOneFile(
  session: Session,
  job: FilesJob,
  { kind, days, id }: PlannedFile,
  facts: FileFacts,
  part: number,
  parts: number,
): Promise<EncodedFile> {
  const { rows, ids, hasOverflow, hasRaw } = facts;
  const path = join(job.workDir, `part-${part}.parquet`);
  // A column without a value still costs some 100 bytes of every file: 1,000 of them would outweigh its rows.
  const columns = Array.from(job.schema.values(), (column, at) => ({ ...column, at })).filter(
    ({ at }) => facts.hasColumn[at],
  );
  const footer = footerOf(job.footer, part, parts);
  const { compressionLevel } = job;
  await session.rows(
    copySql({ file: part, path, columns, hasRaw, hasOverflow, footer, rows, ids, compressionLevel }),
  );
  return {
    path,
    kind,
    day: kind === 'mixed' ? undefined : days[0],
    id,
    ids: facts.fewIds,
    part,
    parts,
    rows,
    ...(await digestOf(path, session.signal)),
    minTimestampMicros: facts.minTimestampMicros,
    maxTimestampMicros: facts.maxTimestampMicros,
    minId: facts.minId,
    maxId: facts.maxId,
    columns: [...columns.map(({ name, type }) => ({ name, type })), ...(hasRaw ? [RAW_PAYLOAD_COLUMN] : [])],
    hasOverflow,
  };
}
