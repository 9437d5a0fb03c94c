import { createHash } from 'node:crypto';
import type { Member, Membership } from '@miniodb/core/placement/members.ts';
import { asMiniodbError, MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { openQuerierClient, type QuerierClient } from '@miniodb/proto/client.ts';

/**
 * Longer than any query may take, so that none loses its connection; and a querier that was only missed by one view
 * keeps it.
 */
const CLOSE_AFTER_MS = 70_000;

interface Connection {
  readonly client: QuerierClient;
  /** Set from the time the querier is no longer seen. */
  closing?: NodeJS.Timeout | undefined;
}

/** The queriers as this gateway sees them: which to ask first, and the connection to each. */
export class QuerierPool {
  readonly #membership: Membership;
  readonly #connections = new Map<string, Connection>();

  constructor(membership: Membership) {
    this.#membership = membership;
    membership.onChange(() => this.#watchVanished());
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
    let connection = this.#connections.get(member.address);
    if (connection === undefined) {
      connection = { client: openQuerierClient(member.address) };
      this.#connections.set(member.address, connection);
    }
    return connection.client;
  }

  #watchVanished(): void {
    const live = new Set(this.#membership.live('querier').map((member) => member.address));
    for (const [address, connection] of this.#connections) {
      if (live.has(address)) {
        clearTimeout(connection.closing);
        connection.closing = undefined;
      } else connection.closing ??= setTimeout(() => this.#close(address), CLOSE_AFTER_MS);
    }
  }

  #close(address: string): void {
    const connection = this.#connections.get(address);
    this.#connections.delete(address);
    clearTimeout(connection?.closing);
    connection?.client.close();
  }

  close(): void {
    for (const address of [...this.#connections.keys()]) this.#close(address);
  }
}

/** Refusals that are about one querier's load, not about the query. */
const LOAD_CODES: ReadonlySet<string> = new Set(['too_many_queries', 'cache_full']);

/** Whether another querier may do better with the same query. */
export function isWorthAnotherQuerier(thrown: unknown): boolean {
  const { kind, code } = asMiniodbError(thrown);
  return kind === 'unavailable' || LOAD_CODES.has(code);
}
