import type { Redis } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';
import { statusOf, unknownStatus } from '../redis/reply.ts';
import { runVerb } from '../redis/script.ts';
import { type FixedKeys, ProtocolKeys } from '../table/keys.ts';

export type PinAnswer =
  | 'ok'
  /** That incarnation of the table is no more, and its objects with it. */
  | 'gone'
  /** It was not prolonged in time: objects may have been deleted. */
  | 'expired';

interface Pinned {
  readonly table: string;
  readonly generation: string;
}

/** Pins what is in the index now: whatever leaves it keeps its object while the pin is live. Repeatable. */
export async function pinTable(
  redis: Redis,
  fixed: FixedKeys,
  { table, generation }: Pinned,
  pinId: string,
  livesMs: number,
  how: 'new' | 'prolong' = 'new',
): Promise<PinAnswer> {
  const keys = [fixed.config(table), new ProtocolKeys(table, generation).pins];
  const args = [generation, pinId, livesMs, how === 'prolong' ? 1 : 0];
  const reply = await runVerb(redis, 'pin', keys, args);
  const status = statusOf('pin', reply);
  if (status === 'ok' || status === 'gone' || status === 'expired') return status;
  throw unknownStatus('pin', reply);
}

export async function unpinTable(redis: Redis, { table, generation }: Pinned, pinId: string): Promise<void> {
  try {
    await redis.zrem(new ProtocolKeys(table, generation).pins, pinId);
  } catch (error) {
    throw classifyRedisError(error);
  }
}
