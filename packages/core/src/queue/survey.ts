import type { Redis } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';
import type { MiniodbError } from '../runtime/errors.ts';
import { type FixedKeys, ProtocolKeys } from '../table/keys.ts';

/** What one look over all tables says of one of them. */
export type Surveyed =
  | {
      readonly name: string;
      readonly generation: string;
      readonly shards: number;
      /** Sealed and set-aside ones too. */
      readonly pendingBatches: number;
    }
  | { readonly name: string; readonly error: MiniodbError };

/** Tables of one pipeline: bounds what is in flight; two round trips each. */
const TABLES_AT_ONCE = 250;

/**
 * Which tables have something pending: two small reads a table, pipelined, so that a thousand idle tables cost
 * milliseconds. Names without a live table are left out; one that cannot be read does not hide the others.
 */
export async function surveyTables(
  redis: Redis,
  fixed: FixedKeys,
  names: readonly string[],
): Promise<Surveyed[]> {
  const surveyed: Surveyed[] = [];
  for (let from = 0; from < names.length; from += TABLES_AT_ONCE) {
    surveyed.push(...(await surveyPart(redis, fixed, names.slice(from, from + TABLES_AT_ONCE))));
  }
  return surveyed;
}

async function surveyPart(redis: Redis, fixed: FixedKeys, names: readonly string[]): Promise<Surveyed[]> {
  const settings = redis.pipeline();
  for (const name of names) void settings.hmget(fixed.config(name), 'generation', 'status', 'shards');
  const surveyed: Surveyed[] = [];
  const live: { readonly name: string; readonly generation: string; readonly shards: number }[] = [];
  for (const [at, [error, reply]] of (await answersOf(settings)).entries()) {
    const name = names[at]!;
    if (error !== null) {
      surveyed.push({ name, error: classifyRedisError(error) });
      continue;
    }
    const [generation, status, shards] = reply as readonly (string | null)[];
    if (!generation || !status || status === 'deleting') continue;
    live.push({ name, generation, shards: Number(shards) });
  }
  const counts = redis.pipeline();
  for (const { name, generation } of live) {
    void counts.hget(new ProtocolKeys(name, generation).counters, 'pending_batches');
  }
  for (const [at, [error, reply]] of (await answersOf(counts)).entries()) {
    const table = live[at]!;
    if (error !== null) surveyed.push({ name: table.name, error: classifyRedisError(error) });
    else surveyed.push({ ...table, pendingBatches: Number((reply as string | null) ?? '0') });
  }
  return surveyed;
}

type Answers = readonly (readonly [Error | null, unknown])[];

async function answersOf(pipeline: { exec(): Promise<Answers | null> }): Promise<Answers> {
  try {
    return (await pipeline.exec()) ?? [];
  } catch (error) {
    throw classifyRedisError(error);
  }
}
