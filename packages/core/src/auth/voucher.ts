import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/**
 * A gateway's word to a querier that it has authenticated a user, for one query: `1.<expires ms>.<MAC>`. The MAC is
 * HMAC-SHA-256 under the cluster's secret over the JSON array of version, expiry, user, request id and the SHA-256 of
 * the SQL, so that a voucher that was overheard serves for no other user, request or text, and not for long.
 */
const VOUCHER = /^1\.(\d{1,15})\.([A-Za-z0-9_-]{43})$/;

/** Longer than a query needs to reach a querier, its second choice included. */
export const VOUCHER_LIFE_MS = 30_000;

export interface Vouched {
  readonly user: string;
  readonly requestId: string;
  readonly sql: string;
}

/** @param nowMs by Redis' clock, as all processes see it */
export function signVoucher(secret: Buffer, vouched: Vouched, nowMs: number): string {
  const expiresMs = nowMs + VOUCHER_LIFE_MS;
  return `1.${expiresMs}.${macOf(secret, vouched, expiresMs).toString('base64url')}`;
}

/** Another secret makes it `forged`; only a genuine one can be `expired`. */
export function checkVoucher(
  secret: Buffer,
  voucher: string,
  vouched: Vouched,
  nowMs: number,
): 'good' | 'forged' | 'expired' {
  const match = VOUCHER.exec(voucher);
  if (match === null) return 'forged';
  const expiresMs = Number(match[1]);
  const mac = Buffer.from(match[2]!, 'base64url');
  if (!timingSafeEqual(mac, macOf(secret, vouched, expiresMs))) return 'forged';
  return nowMs < expiresMs ? 'good' : 'expired';
}

function macOf(secret: Buffer, { user, requestId, sql }: Vouched, expiresMs: number): Buffer {
  const sqlHash = createHash('sha256').update(sql).digest('hex');
  return createHmac('sha256', secret)
    .update(JSON.stringify([1, expiresMs, user, requestId, sqlHash]))
    .digest();
}
