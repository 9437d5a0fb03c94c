import type { ClusterSecret } from '@miniodb/core/auth/cluster-secret.ts';
import { signVoucher, type Vouched } from '@miniodb/core/auth/voucher.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';

const RETRY_AFTER_MS = 1_000;

/**
 * Does a query with a voucher, and once more with another one when the querier refuses it and the cluster's secret has
 * been replaced since it was read here. A refused voucher is refused before anything is read.
 *
 * Throws `unavailable`/`voucher_refused` where querier and gateway do not agree yet: the caller has done nothing wrong.
 * @param nowMs by Redis' clock
 */
export async function vouching<Answer>(
  secret: Pick<ClusterSecret, 'current' | 'hasChangedFrom'>,
  vouched: Vouched,
  nowMs: () => number,
  ask: (voucher: string) => Promise<Answer>,
): Promise<Answer> {
  const tried = await secret.current();
  try {
    return await ask(signVoucher(tried, vouched, nowMs()));
  } catch (error) {
    if (!isVoucherRefused(error)) throw error;
    if (!(await secret.hasChangedFrom(tried))) throw notAgreed(error);
  }
  try {
    return await ask(signVoucher(await secret.current(), vouched, nowMs()));
  } catch (error) {
    throw isVoucherRefused(error) ? notAgreed(error) : error;
  }
}

function isVoucherRefused(error: unknown): boolean {
  return error instanceof MiniodbError && error.code === 'voucher_refused';
}

function notAgreed(cause: unknown): MiniodbError {
  return new MiniodbError('unavailable', 'the querier does not know this gateway now', {
    code: 'voucher_refused',
    retryAfterMs: RETRY_AFTER_MS,
    cause,
  });
}
