import { MiniodbError } from '../runtime/errors.ts';

export function redisUnavailable(cause: unknown): MiniodbError {
  return new MiniodbError('unavailable', 'Redis is not reachable', {
    code: 'redis_unavailable',
    retryAfterMs: 1_000,
    cause,
  });
}

/** A thrown Redis error or error reply as a MiniodbError. Says nothing about whether the command was applied. */
export function classifyRedisError(error: unknown): MiniodbError {
  if (error instanceof MiniodbError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (/^(OOM|EXECABORT.*OOM)/.test(message) || message.includes('maxmemory')) {
    return new MiniodbError('resource_exhausted', 'Redis has reached its memory limit', {
      code: 'redis_out_of_memory',
      retryAfterMs: 2_000,
      cause: error,
    });
  }
  if (message.startsWith('WRONGTYPE')) {
    return new MiniodbError('data_corrupted', `a Redis key has another type than expected: ${message}`, {
      code: 'redis_wrong_type',
      cause: error,
    });
  }
  if (/^(ERR|NOPERM|NOAUTH|WRONGPASS)\b/.test(message)) {
    return new MiniodbError('internal', `Redis refused a command: ${message}`, {
      code: 'redis_refused',
      cause: error,
    });
  }
  return redisUnavailable(error);
}
