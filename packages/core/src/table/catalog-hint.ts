import type { Redis } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';
import { GLOBAL_KEYS } from './keys.ts';

/** Leaves word that a table was made or changed. What is lost only delays: whoever cares also looks by itself. Never throws. */
export function hintCatalog(redis: Redis): void {
  redis.incr(GLOBAL_KEYS.catalog).catch(() => {});
}

/** Another text than last time: some table was made or changed since. */
export async function readCatalogHint(redis: Redis): Promise<string> {
  try {
    return (await redis.get(GLOBAL_KEYS.catalog)) ?? '';
  } catch (error) {
    throw classifyRedisError(error);
  }
}
