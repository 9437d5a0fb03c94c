import type { Redis } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';
import { asArray, asNumber, asPairs, asText, statusOf, unknownStatus } from '../redis/reply.ts';
import { addVerb } from '../redis/script.ts';
import { type Table, tableFromHash } from './catalog.ts';
import { inheritedFields, type TableConfig } from './config.ts';
import { type FixedKeys, ProtocolKeys } from './keys.ts';
import type { TableSchema } from './schema.ts';
import { parseSchema } from './stored-schema.ts';

/** One instant of a table as people see it. */
export interface TableReport {
  readonly table: Table;
  readonly inherited: readonly (keyof TableConfig)[];
  /** RFC 3339, UTC; lastWrite is empty before the first one. */
  readonly createdAt: string;
  readonly lastWrite: string;
  /** Pending rows included. */
  readonly records: number;
  readonly files: number;
  readonly fileBytes: number;
  /** RFC 3339, UTC, six digits; empty when there are no rows. */
  readonly oldest: string;
  readonly newest: string;
  readonly pendingRows: number;
  readonly pendingBytes: number;
  readonly pendingBatches: number;
  /** Empty unless it was asked for. */
  readonly schema: TableSchema;
}

/** Tables of one round trip: Redis serves others between two. */
const TABLES_AT_ONCE = 200;
/** How often a table may be dropped and created again while it is read, before it counts as not there. */
const MOVES_MAX = 4;

/** Reads tables, each at one instant of its own, in the order of the names; names without a table are left out. */
export async function describeTables(
  redis: Redis,
  fixed: FixedKeys,
  defaults: TableConfig,
  names: readonly string[],
  withSchema: boolean,
): Promise<TableReport[]> {
  const reports: TableReport[] = [];
  for (let from = 0; from < names.length; from += TABLES_AT_ONCE) {
    const chunk = names.slice(from, from + TABLES_AT_ONCE);
    const generations = await readGenerations(redis, fixed, chunk);
    const found = new Map<string, TableReport>();
    let open = chunk.filter((name) => generations.has(name));
    for (let attempt = 0; open.length > 0 && attempt < MOVES_MAX; attempt += 1) {
      const replies = await askAll(redis, fixed, generations, open, withSchema);
      const moved: string[] = [];
      for (const [at, name] of open.entries()) {
        const reply = asArray('describe', replies[at]);
        const status = statusOf('describe', reply);
        if (status === 'moved') {
          generations.set(name, asText('describe', reply[1]));
          moved.push(name);
        } else if (status === 'ok') {
          const report = reportOf(name, reply, defaults);
          if (report !== undefined) found.set(name, report);
        } else if (status !== 'absent') throw unknownStatus('describe', reply);
      }
      open = moved;
    }
    for (const name of chunk) if (found.has(name)) reports.push(found.get(name)!);
  }
  return reports;
}

async function readGenerations(
  redis: Redis,
  fixed: FixedKeys,
  names: readonly string[],
): Promise<Map<string, string>> {
  const read = redis.pipeline();
  for (const name of names) read.hget(fixed.config(name), 'generation');
  const generations = new Map<string, string>();
  for (const [at, generation] of (await answers(read.exec())).entries()) {
    if (typeof generation === 'string') generations.set(names[at]!, generation);
  }
  return generations;
}

function askAll(
  redis: Redis,
  fixed: FixedKeys,
  generations: ReadonlyMap<string, string>,
  names: readonly string[],
  withSchema: boolean,
): Promise<unknown[]> {
  const ask = redis.pipeline();
  for (const name of names) {
    const generation = generations.get(name)!;
    const keys = new ProtocolKeys(name, generation);
    addVerb(
      ask,
      'describeTable',
      [
        fixed.config(name),
        fixed.stats(name),
        fixed.createdAt(name),
        fixed.lastWrite(name),
        keys.counters,
        keys.schema,
      ],
      [generation, withSchema ? 1 : 0],
    );
  }
  return answers(ask.exec());
}

async function answers(sent: Promise<[error: Error | null, reply: unknown][] | null>): Promise<unknown[]> {
  try {
    return ((await sent) ?? []).map(([error, reply]) => {
      if (error !== null) throw error;
      return reply;
    });
  } catch (error) {
    throw classifyRedisError(error);
  }
}

function reportOf(name: string, reply: readonly unknown[], defaults: TableConfig): TableReport | undefined {
  const hash = new Map(asPairs('describe', reply[1]));
  const table = tableFromHash(name, hash, defaults);
  if (table === undefined) return undefined;
  const stats = new Map(asPairs('describe', reply[2]));
  const pending = asArray('describe', reply[5]);
  return {
    table,
    inherited: inheritedFields(hash),
    createdAt: asText('describe', reply[3]),
    lastWrite: asText('describe', reply[4]),
    records: Number(stats.get('record_count') ?? '0'),
    files: Number(stats.get('file_count') ?? '0'),
    fileBytes: Number(stats.get('size_bytes') ?? '0'),
    oldest: stats.get('oldest_record') ?? '',
    newest: stats.get('newest_record') ?? '',
    pendingRows: asNumber('describe', pending[0]),
    pendingBytes: asNumber('describe', pending[1]),
    pendingBatches: asNumber('describe', pending[2]),
    schema: parseSchema(asPairs('describe', reply[6])),
  };
}
