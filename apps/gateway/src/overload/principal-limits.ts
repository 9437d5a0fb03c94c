import type { PrincipalLimits as LimitSettings } from '@miniodb/core/auth/sections.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { LRUCache } from 'lru-cache';
import { TokenBucket } from './token-bucket.ts';

/** A user that is not among the last so many starts with full buckets again. */
const USERS_MAX = 10_000;
const QUERY_RETRY_MS = 500;

interface Buckets {
  readonly requests: TokenBucket | undefined;
  readonly bytes: TokenBucket | undefined;
}

/**
 * What the configuration lets one user take of this gateway: requests and bytes a second, queries at a time. Users
 * without limits of their own have those of `*`; without either, none. Every gateway counts by itself.
 */
export class PrincipalLimits {
  readonly #settings: ReadonlyMap<string, LimitSettings>;
  readonly #buckets = new LRUCache<string, Buckets>({ max: USERS_MAX });
  /** Only users with a query under way. */
  readonly #queries = new Map<string, number>();

  constructor(settings: Readonly<Record<string, LimitSettings>>) {
    this.#settings = new Map(Object.entries(settings));
  }

  /** Counts one request. Throws `resource_exhausted`/`principal_limit` with the time until the next. */
  takeRequest(user: string, bodyBytes: number, nowMs: number): void {
    const limits = this.#of(user);
    if (limits === undefined) return;
    const { requests, bytes } = this.#bucketsOf(user, limits, nowMs);
    const requestWaitMs = requests?.waitMs(nowMs) ?? 0;
    if (requestWaitMs > 0) {
      throw refusal(`${user} may make ${limits.requests_per_second} requests a second`, requestWaitMs);
    }
    const bytesWaitMs = bodyBytes > 0 ? (bytes?.waitMs(nowMs) ?? 0) : 0;
    if (bytesWaitMs > 0)
      throw refusal(`${user} may write ${limits.bytes_per_second} bytes a second`, bytesWaitMs);
    requests?.take(1);
    bytes?.take(bodyBytes);
  }

  /** Throws `resource_exhausted`/`principal_limit` when the user has as many queries under way as it may. */
  async holdQuery<Result>(user: string, work: () => Promise<Result>): Promise<Result> {
    const max = this.#of(user)?.concurrent_queries;
    if (max === undefined) return work();
    const running = this.#queries.get(user) ?? 0;
    if (running >= max) throw refusal(`${user} may run ${max} queries at a time`, QUERY_RETRY_MS);
    this.#queries.set(user, running + 1);
    try {
      return await work();
    } finally {
      const left = this.#queries.get(user)! - 1;
      if (left === 0) this.#queries.delete(user);
      else this.#queries.set(user, left);
    }
  }

  #of(user: string): LimitSettings | undefined {
    return this.#settings.get(user) ?? this.#settings.get('*');
  }

  #bucketsOf(user: string, limits: LimitSettings, nowMs: number): Buckets {
    let buckets = this.#buckets.get(user);
    if (buckets === undefined) {
      const bucket = (perSecond: number | undefined) =>
        perSecond === undefined ? undefined : new TokenBucket(perSecond, nowMs);
      buckets = { requests: bucket(limits.requests_per_second), bytes: bucket(limits.bytes_per_second) };
      this.#buckets.set(user, buckets);
    }
    return buckets;
  }
}

function refusal(limit: string, retryAfterMs: number): MiniodbError {
  return new MiniodbError('resource_exhausted', `${limit}: this is one too many`, {
    code: 'principal_limit',
    retryAfterMs,
  });
}
