import { MiniodbError } from '../runtime/errors.ts';
import type { Redis } from './client.ts';
import { classifyRedisError } from './errors.ts';

export interface RedisMemory {
  readonly usedBytes: number;
  /** 0: no limit. */
  readonly bytesMax: number;
}

/** What Redis says of its memory; one small command. Throws a MiniodbError. */
export async function readRedisMemory(redis: Redis): Promise<RedisMemory> {
  let text: string;
  try {
    text = await redis.info('memory');
  } catch (error) {
    throw classifyRedisError(error);
  }
  return { usedBytes: fieldOf(text, 'used_memory'), bytesMax: fieldOf(text, 'maxmemory') };
}

function fieldOf(info: string, name: string): number {
  const match = new RegExp(`^${name}:(\\d+)\\r?$`, 'm').exec(info);
  if (match !== null) return Number(match[1]);
  throw new MiniodbError('data_corrupted', `INFO memory does not say ${name}`, { code: 'unexpected_reply' });
}
