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
  const message = messageOf(error);
  if (message.startsWith('OOM')) {
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

/** EXECABORT only says that some command was refused; why, the refused commands say. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { previousErrors } = error as { previousErrors?: readonly unknown[] };
  const first = error.message.startsWith('EXECABORT') ? previousErrors?.[0] : undefined;
  return first instanceof Error ? first.message : error.message;
}

/** Whether the command never left this process, so that it was not applied for certain. */
export function isNotSent(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("Stream isn't writeable");
}
