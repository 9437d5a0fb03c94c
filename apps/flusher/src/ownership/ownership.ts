import type { Membership } from '@miniodb/core/placement/members.ts';
import { Ring, shardKey } from '@miniodb/core/placement/ring.ts';

/** Which shards are this flusher's, by the ring of live flushers. Saves work; two owners at once do no harm. */
export class Ownership {
  readonly #self: string;
  #ring: Ring;

  constructor(membership: Membership, self: string) {
    this.#self = self;
    const ringOf = () => new Ring(membership.live('flusher').map((member) => member.id));
    this.#ring = ringOf();
    membership.onChange(() => {
      this.#ring = ringOf();
    });
  }

  owns(table: string, shard: string): boolean {
    return this.#ring.ownerOf(shardKey(table, shard)) === this.#self;
  }

  /** Whether this flusher does what is done once for a whole table. */
  ownsTable(table: string): boolean {
    return this.#ring.ownerOf(table) === this.#self;
  }
}
