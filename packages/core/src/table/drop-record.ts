import { z } from 'zod';
import type { Redis } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';

import { runVerb } from '../redis/script.ts';
import { MiniodbError } from '../runtime/errors.ts';
import { type FixedKeys, GLOBAL_KEYS } from './keys.ts';

/** What drop.lua leaves of an incarnation: enough to find everything that was its. Version 1; all values are texts. */
const dropRecordSchema = z.object({
  v: z.literal('1'),
  table: z.string(),
  generation: z.string(),
  /** Redis' clock, milliseconds since 1970. */
  dropped_ms: z.string().regex(/^\d+$/),
  /** Empty when it is not known. */
  dropped_by: z.string(),
  shards: z.string().regex(/^\d+$/),
  /** Every shard count it has had, in order: `2,4`. */
  shard_history: z.string().regex(/^\d+(,\d+)*$/),
  rows: z.string(),
  files: z.string(),
  /** The config hash as it was. */
  config: z.record(z.string(), z.string()),
});

export type DropRecord = z.infer<typeof dropRecordSchema>;

export interface DropState {
  readonly record: DropRecord;
  /** When its first collection ended, by Redis' clock; undefined before. */
  readonly sweptMs: number | undefined;
}

/** A hint that there may be something to collect. @see listing.ts, intendDrop */
export interface DropIntent {
  readonly member: string;
  readonly table: string;
  /** Empty: only the listing is to be settled. */
  readonly generation: string;
  readonly sinceMs: number;
  /** The same as Redis spelled it. */
  readonly score: string;
}

/** Oldest first. */
export async function readDropIntents(redis: Redis, max: number): Promise<DropIntent[]> {
  let flat: string[];
  try {
    flat = await redis.zrange(GLOBAL_KEYS.drops, '0', String(max - 1), 'WITHSCORES');
  } catch (error) {
    throw classifyRedisError(error);
  }
  const intents: DropIntent[] = [];
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const member = flat[at]!;
    const [table = '', generation = ''] = member.split('|');
    intents.push({ member, table, generation, sinceMs: Number(flat[at + 1]), score: flat[at + 1]! });
  }
  return intents;
}

/** undefined when it is collected, or was never dropped. */
export async function readDrop(
  redis: Redis,
  fixed: FixedKeys,
  table: string,
  generation: string,
): Promise<DropState | undefined> {
  let text: string | null | undefined;
  let swept: string | null | undefined;
  try {
    [text, swept] = await redis.hmget(fixed.drops(table), generation, `${generation}|swept`);
  } catch (error) {
    throw classifyRedisError(error);
  }
  if (typeof text !== 'string') return undefined;
  const parsed = dropRecordSchema.safeParse(JSON.parse(text));
  if (!parsed.success) {
    throw new MiniodbError(
      'data_corrupted',
      `cannot read what the drop of ${table} left: ${text.slice(0, 200)}`,
      {
        code: 'drop_record_corrupted',
        cause: parsed.error,
      },
    );
  }
  return { record: parsed.data, sweptMs: typeof swept === 'string' ? Number(swept) : undefined };
}

/** Notes when a first collection ended, unless that is noted, or all is done, already. */
export async function noteSwept(redis: Redis, fixed: FixedKeys, record: DropRecord): Promise<void> {
  await runVerb(redis, 'noteSwept', [fixed.drops(record.table)], [record.generation]);
}

/** Takes a hint away unless it was renewed since it was read: by a drop that nobody here has seen. */
export async function forgetIntent(redis: Redis, { member, score }: DropIntent): Promise<void> {
  await runVerb(redis, 'settle', [GLOBAL_KEYS.drops], [member, score]);
}

/** The record goes before the hint: without the hint nobody would look for it. */
export async function forgetDrop(redis: Redis, fixed: FixedKeys, intent: DropIntent): Promise<void> {
  const { table, generation, member } = intent;
  try {
    if (generation !== '') await redis.hdel(fixed.drops(table), generation, `${generation}|swept`);
    await redis.zrem(GLOBAL_KEYS.drops, member);
  } catch (error) {
    throw classifyRedisError(error);
  }
}
