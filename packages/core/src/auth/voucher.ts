import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

/**
 * A gateway's word to a querier that it has authenticated a user, for one query: `2.<claims>.<MAC>`, both in base64url.
 * The claims are JSON; the MAC is HMAC-SHA-256 under the cluster's secret over `2.<claims>`. It goes ahead of the query,
 * in the header of the call, so that a querier reads nothing of a stranger. What the query must be, its hash says: a
 * voucher that was overheard serves for no other user, text, parameters or position, and not for long.
 */
const VOUCHER = /^(2\.([A-Za-z0-9_-]{1,2000}))\.([A-Za-z0-9_-]{43})$/;

/** Under which it stands in the metadata of a call. */
export const VOUCHER_METADATA_KEY = 'x-miniodb-voucher';

/** Longer than a query needs to reach a querier, its second choice included. */
export const VOUCHER_LIFE_MS = 30_000;

const claimsSchema = z.object({
  /** Milliseconds since 1970. */
  expires: z.int(),
  user: z.string(),
  request: z.string(),
  /** `queryHashOf`. */
  query: z.string(),
});

export interface Vouched {
  readonly user: string;
  readonly requestId: string;
  readonly queryHash: string;
}

export interface VouchedQuery {
  readonly sql: string;
  /** As it is sent. */
  readonly paramsJson: string;
  readonly position: string;
}

/** SHA-256 in base64url over the hashes of text and parameters, which have a fixed length, and the position. */
export function queryHashOf({ sql, paramsJson, position }: VouchedQuery): string {
  const hash = createHash('sha256');
  for (const part of [sql, paramsJson]) hash.update(createHash('sha256').update(part).digest());
  return hash.update(position).digest('base64url');
}

/** @param nowMs by Redis' clock, as all processes see it */
export function signVoucher(secret: Buffer, vouched: Vouched, nowMs: number): string {
  const { user, requestId, queryHash } = vouched;
  const claims: z.infer<typeof claimsSchema> = {
    expires: nowMs + VOUCHER_LIFE_MS,
    user,
    request: requestId,
    query: queryHash,
  };
  const signed = `2.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
  return `${signed}.${macOf(secret, signed).toString('base64url')}`;
}

/** Another secret makes it `forged`; only a genuine one can be `expired`. */
export function openVoucher(
  secret: Buffer,
  voucher: string,
  nowMs: number,
): { readonly verdict: 'good'; readonly vouched: Vouched } | { readonly verdict: 'forged' | 'expired' } {
  const [, signed, claims, mac] = VOUCHER.exec(voucher) ?? [];
  if (signed === undefined || !timingSafeEqual(Buffer.from(mac!, 'base64url'), macOf(secret, signed)))
    return { verdict: 'forged' };
  // Ours, so it can be read.
  const { expires, user, request, query } = claimsSchema.parse(
    JSON.parse(Buffer.from(claims!, 'base64url').toString('utf8')),
  );
  if (nowMs >= expires) return { verdict: 'expired' };
  return { verdict: 'good', vouched: { user, requestId: request, queryHash: query } };
}

function macOf(secret: Buffer, signed: string): Buffer {
  return createHmac('sha256', secret).update(signed).digest();
}
