import { setTimeout as sleep } from 'node:timers/promises';
import { MiniodbError } from '../runtime/errors.ts';
import { type Redis, redisTimeMs, whenReady } from './client.ts';
import { classifyRedisError, isNotSent } from './errors.ts';
import { type LuaArgument, runVerb, type Verb } from './script.ts';

/** How long a verb whose answer was lost is asked for again. */
const ANSWER_MS_MAX = 5_000;
const REPEAT_PAUSE_MS = 20;

/** Beyond it a verb refuses: longer than repeats go on, shorter than a drop is remembered. */
const APPLY_MS_MAX = 15_000;

/**
 * By Redis' clock, for verbs that must not apply long after their caller gave up: a command may hang on a dying
 * connection, or a process stand still.
 */
export async function verbDeadlineMs(redis: Redis): Promise<number> {
  const nowMs = await untilRead(redis, async () => {
    try {
      return await redisTimeMs(redis);
    } catch (error) {
      throw classifyRedisError(error);
    }
  });
  return nowMs + APPLY_MS_MAX;
}

/** For a verb that refused because its deadline had passed. @param what was not done: `table t was not created` */
export function tooSlow(what: string): MiniodbError {
  return new MiniodbError('unavailable', `Redis was too slow: ${what}`, {
    code: 'redis_too_slow',
    retryAfterMs: 1_000,
  });
}

/**
 * Runs a verb that may be repeated, and repeats it until it answers. What cannot have been applied is thrown as it is;
 * `outcome_unknown` when Redis does not say in time.
 * @param what was done or not, for people: `table t was created`
 */
export function untilAnswered(
  redis: Redis,
  verb: Verb,
  keys: readonly string[],
  args: readonly LuaArgument[],
  what: string,
): Promise<unknown> {
  const unknown = (cause: unknown) =>
    new MiniodbError('outcome_unknown', `Redis did not say whether ${what}`, {
      code: 'outcome_unknown',
      cause,
    });
  return repeated(redis, () => runVerb(redis, verb, keys, args), unknown);
}

/** The same for what only reads: an answer that was lost is asked for again. Throws the read's own error in the end. */
export function untilRead<Answer>(redis: Redis, read: () => Promise<Answer>): Promise<Answer> {
  return repeated(redis, read, (_cause, error) => error);
}

async function repeated<Answer>(
  redis: Redis,
  ask: () => Promise<Answer>,
  givenUp: (cause: unknown, error: MiniodbError) => MiniodbError,
): Promise<Answer> {
  const deadline = performance.now() + ANSWER_MS_MAX;
  let maybeApplied = false;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof MiniodbError) || error.kind !== 'unavailable') throw error;
      maybeApplied ||= !isNotSent(error.cause);
      if (!maybeApplied) throw error;
      // A server that is there and says so every time (it loads its data, it is a replica) would be asked for ever.
      if (performance.now() > deadline) throw givenUp(error, error);
      await sleep(REPEAT_PAUSE_MS);
      try {
        await whenReady(redis, Math.max(deadline - performance.now(), 1));
      } catch (cause) {
        throw givenUp(cause, error);
      }
    }
  }
}
