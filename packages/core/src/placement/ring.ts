import HashRing from 'hashring';

/** Points of each member on the ring: 256 keep the largest share within about 20 % of the mean for a few members. */
const VNODES = 256;

/**
 * Which of the live members a key belongs to: consistent hashing, so that a member more or less moves about 1/N of
 * the keys. Build a new one when the members change.
 */
export class Ring {
  readonly #ring: HashRing | undefined;

  constructor(memberIds: readonly string[]) {
    // Weights with explicit vnodes: the library's default count rounds away points of small weights.
    const servers = Object.fromEntries(memberIds.map((id) => [id, { vnodes: VNODES }]));
    this.#ring =
      memberIds.length === 0 ? undefined : new HashRing(servers, 'md5', { 'max cache size': 10_000 });
  }

  /** undefined only when there are no members. */
  ownerOf(key: string): string | undefined {
    return this.#ring?.get(key);
  }
}

export function shardKey(table: string, shard: string): string {
  return `${table}/${shard}`;
}
