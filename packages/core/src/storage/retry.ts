import { setTimeout as sleep } from 'node:timers/promises';
import { asMiniodbError } from '../runtime/errors.ts';
import { objectStoreCancelled } from './object-errors.ts';

export interface RetryPolicy {
  /** The first attempt included. */
  readonly attemptsMax: number;
  /** Upper bound of the first pause; it doubles with every attempt. */
  readonly firstPauseMs: number;
  readonly pauseMsMax: number;
  /** 0 to below 1, for jitter. */
  readonly random: () => number;
}

/**
 * Five attempts with pauses of up to 100, 200, 400 and 800 ms: enough for a restarting load balancer or a lost
 * connection, short enough that a flush hears soon of a store that is away. Callers with more patience retry
 * themselves.
 */
export const RETRY_POLICY: RetryPolicy = {
  attemptsMax: 5,
  firstPauseMs: 100,
  pauseMsMax: 5_000,
  random: Math.random,
};

/**
 * Repeats an idempotent step while it fails with kind `unavailable`. Between attempts it pauses for a random part
 * of the backoff (full jitter, so that many callers do not come back together), and at least as long as the store
 * asked for, within the policy's longest pause. `attempt` throws classified errors only.
 */
export async function retrying<Result>(
  policy: RetryPolicy,
  signal: AbortSignal | undefined,
  attempt: (number: number) => Promise<Result>,
): Promise<Result> {
  for (let number = 1; ; number++) {
    try {
      return await attempt(number);
    } catch (thrown) {
      const error = asMiniodbError(thrown);
      if (error.kind !== 'unavailable' || number >= policy.attemptsMax) throw error;
      const backoffMs = policy.random() * policy.firstPauseMs * 2 ** (number - 1);
      const pauseMs = Math.min(policy.pauseMsMax, Math.max(backoffMs, error.retryAfterMs ?? 0));
      await sleep(pauseMs, undefined, signal === undefined ? {} : { signal }).catch((cause: unknown) => {
        throw objectStoreCancelled(cause);
      });
    }
  }
}
