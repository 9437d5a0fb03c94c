import { createHash } from 'node:crypto';
import type { Member, Membership } from '@miniodb/core/placement/members.ts';
import { asMiniodbError, MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { openQuerierClient, type QuerierClient } from '@miniodb/proto/client.ts';

/** The queriers as this gateway sees them: which to ask first, and the connection to each. */
export class QuerierPool {
  readonly #membership: Membership;
  readonly #clients = new Map<string, QuerierClient>();

  constructor(membership: Membership) {
    this.#membership = membership;
    membership.onChange(() => this.#closeVanished());
  }

  get size(): number {
    return this.#membership.live('querier').length;
  }

  /**
   * Live queriers in the order to ask them: by rendezvous of the query's tables, so that queries over the same tables
   * find their files in the same caches. Throws `unavailable`/`no_querier`.
   */
  order(tables: readonly string[]): Member[] {
    const key = [...tables].sort().join(',');
    const scored = this.#membership.live('querier').map((member) => ({
      member,
      score: createHash('sha1').update(`${key}|${member.id}`).digest('hex'),
    }));
    if (scored.length === 0) {
      throw new MiniodbError('unavailable', 'there is no querier', {
        code: 'no_querier',
        retryAfterMs: 1_000,
      });
    }
    return scored.sort((a, b) => (a.score < b.score ? -1 : 1)).map(({ member }) => member);
  }

  client(member: Member): QuerierClient {
    let client = this.#clients.get(member.address);
    if (client === undefined) {
      client = openQuerierClient(member.address);
      this.#clients.set(member.address, client);
    }
    return client;
  }

  #closeVanished(): void {
    const live = new Set(this.#membership.live('querier').map((member) => member.address));
    for (const [address, client] of this.#clients) {
      if (live.has(address)) continue;
      this.#clients.delete(address);
      client.close();
    }
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }
}

/** Refusals that are about one querier's load, not about the query. */
const LOAD_CODES: ReadonlySet<string> = new Set(['too_many_queries', 'cache_full']);

/** Whether another querier may do better with the same query. */
export function isWorthAnotherQuerier(thrown: unknown): boolean {
  const { kind, code } = asMiniodbError(thrown);
  return kind === 'unavailable' || LOAD_CODES.has(code);
}
