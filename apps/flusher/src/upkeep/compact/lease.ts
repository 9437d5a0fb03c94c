import { type PlanAnswer, type PlanText, registerPlan, type TableRef } from '@miniodb/core/index/plan.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';
import { pause } from '../../pause.ts';

/** So long after its last sign of life a plan is dead, and the sweeper may take what it uploaded. */
const PLAN_LIVES_MS = 120_000;
const PROLONG_EVERY_MS = 30_000;

/**
 * Registers a plan and keeps it alive while `work` runs; work's signal fires when it could not be kept alive, or the
 * caller's does. Throws `failed_precondition`/`plan_lost` when the plan is no more.
 */
export async function underPlan<Result>(
  redis: Redis,
  fixed: FixedKeys,
  ref: TableRef,
  planId: string,
  text: PlanText,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const register = (how: 'new' | 'prolong') =>
    registerPlan(redis, fixed, ref, planId, PLAN_LIVES_MS, text, how);
  expectLive(planId, await register('new'));
  const lost = new AbortController();
  const ended = new AbortController();
  const keepAlive = async () => {
    for (;;) {
      await pause(PROLONG_EVERY_MS, ended.signal);
      if (ended.signal.aborted) return;
      try {
        expectLive(planId, await register('prolong'));
      } catch (error) {
        // Redis may be away for a moment: the swap asks whether the plan still lives.
        if (error instanceof MiniodbError && error.code === 'plan_lost') {
          lost.abort(error);
          return;
        }
      }
    }
  };
  const keeping = keepAlive();
  try {
    return await work(AbortSignal.any([signal, lost.signal]));
  } catch (error) {
    throw lost.signal.aborted ? lost.signal.reason : error;
  } finally {
    ended.abort();
    await keeping;
  }
}

function expectLive(planId: string, answer: PlanAnswer): void {
  if (answer === 'ok') return;
  throw new MiniodbError('failed_precondition', `plan ${planId} is ${answer}`, { code: 'plan_lost' });
}
