import { type Redis, redisTimeMs } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';
import { runVerb } from '../redis/script.ts';
import { type FixedKeys, GLOBAL_KEYS, tablesOfUser } from './keys.ts';

/** The lists that tables are in. They follow the config key, which alone says whether there is a table. */

/** Enters a table that has just been created: a drop of an earlier incarnation may have taken the name out meanwhile. */
export async function enterListing(
  redis: Redis,
  fixed: FixedKeys,
  table: string,
  user: string | undefined,
): Promise<void> {
  try {
    await redis.sadd(fixed.tablesList, table);
    if (user !== undefined) await redis.zadd(tablesOfUser(user), 'NX', await redisTimeMs(redis), table);
  } catch (error) {
    throw classifyRedisError(error);
  }
}

/**
 * Makes the lists say what the config says: takes the name out and, when it has been created again meanwhile, puts it
 * back. A creation enters the name before and after it writes the config, so neither order of the two loses it.
 * @param user who had created the incarnation that is gone
 */
export async function settleListing(
  redis: Redis,
  fixed: FixedKeys,
  table: string,
  user: string | undefined,
): Promise<void> {
  try {
    if ((await redis.hexists(fixed.config(table), 'generation')) === 0) {
      await redis.srem(fixed.tablesList, table);
    }
    if (user !== undefined && (await redis.hget(fixed.config(table), 'created_by')) !== user) {
      await redis.zrem(tablesOfUser(user), table);
    }
    const [generation, creator] = await redis.hmget(fixed.config(table), 'generation', 'created_by');
    if (typeof generation === 'string') {
      await enterListing(redis, fixed, table, creator ?? undefined);
    }
  } catch (error) {
    throw classifyRedisError(error);
  }
}

/** Leaves a hint that the collectors look at a table. @param generation empty: only its listing is to be settled */
export async function intendDrop(redis: Redis, table: string, generation: string): Promise<void> {
  await runVerb(redis, 'intendDrop', [GLOBAL_KEYS.drops], [`${table}|${generation}`]);
}

/** How old a reservation for a user must be before it counts as left behind: creations end within seconds. */
const RESERVED_MS_MAX = 60_000;

/** Takes out of a user's tables those that are no longer that user's, or never came to be. Answers how many. */
export async function repairTablesOfUser(redis: Redis, fixed: FixedKeys, user: string): Promise<number> {
  try {
    const before = (await redisTimeMs(redis)) - RESERVED_MS_MAX;
    const old = await redis.zrangebyscore(tablesOfUser(user), '-inf', before);
    const read = redis.pipeline();
    for (const table of old) read.hget(fixed.config(table), 'created_by');
    const creators = (await read.exec()) ?? [];
    const left = old.filter((_, at) => creators[at]?.[0] === null && creators[at][1] !== user);
    return left.length === 0 ? 0 : await redis.zrem(tablesOfUser(user), ...left);
  } catch (error) {
    throw classifyRedisError(error);
  }
}
