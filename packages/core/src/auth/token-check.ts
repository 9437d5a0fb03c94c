import { LRUCache } from 'lru-cache';
import { MiniodbError } from '../runtime/errors.ts';
import { tokenExpired, unauthenticated } from './refusals.ts';
import { parseToken, provesToken, type TokenRecord } from './token.ts';

/** A revoked token is refused everywhere when this has passed; the promise to operators is 5 s. */
const RECORD_MAX_AGE_MS = 2_000;
const RECORDS_MAX = 10_000;
/** Lookups in Redis at a time. Ids that nobody has are cheap to make up, and each costs one. */
const LOOKUPS_MAX = 256;
/** Of these for one address: the rest is for others, who may show a token for the first time. */
const LOOKUPS_PER_PEER_MAX = 64;

export interface TokenReader {
  read(id: string): Promise<TokenRecord | undefined>;
}

/** Says whose a token is. Remembers what Redis said of an id for two seconds, also that there is none. */
export class TokenCheck {
  readonly #tokens: TokenReader;
  readonly #nowMs: () => number;
  readonly #known: LRUCache<string, TokenRecord>;
  /** Apart from those that exist, so that made-up ids push none of them out. */
  readonly #absent: LRUCache<string, true>;
  /** Ids that Redis has had: nobody can make these up, so they are looked up whatever else is. */
  readonly #genuine = new LRUCache<string, true>({ max: RECORDS_MAX });
  readonly #reading = new Map<string, Promise<TokenRecord | undefined>>();
  /** How many of these are of one address; only those with any. */
  readonly #readingOf = new Map<string, number>();

  /** @param nowMs milliseconds since 1970, by Redis' clock: what expiry is counted in */
  constructor(tokens: TokenReader, nowMs: () => number, recordMaxAgeMs = RECORD_MAX_AGE_MS) {
    this.#tokens = tokens;
    this.#nowMs = nowMs;
    this.#known = new LRUCache({ max: RECORDS_MAX, ttl: recordMaxAgeMs });
    this.#absent = new LRUCache({ max: RECORDS_MAX, ttl: recordMaxAgeMs });
  }

  /**
   * @param peer whose address it comes from, where that is known
   * @returns the user. Throws `unauthenticated`: `token_expired`, and `unauthenticated` for every other token that is
   * not good; what Redis failed with; `resource_exhausted`/`too_many_lookups`.
   */
  async userOf(text: string, peer?: string): Promise<string> {
    const token = parseToken(text);
    if (token === undefined) throw unauthenticated();
    const record = await this.#record(token.id, peer);
    if (record === undefined || !provesToken(record, token.secret)) throw unauthenticated();
    // Only who holds the secret learns this.
    if (record.expiresMs !== undefined && this.#nowMs() >= record.expiresMs) throw tokenExpired();
    return record.user;
  }

  async #record(id: string, peer: string | undefined): Promise<TokenRecord | undefined> {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    if (this.#absent.has(id)) return undefined;
    return this.#reading.get(id) ?? this.#read(id, peer);
  }

  #read(id: string, peer: string | undefined): Promise<TokenRecord | undefined> {
    if (!this.#genuine.has(id)) this.#requireRoom(peer);
    this.#count(peer, 1);
    const reading = this.#remember(id).finally(() => {
      this.#reading.delete(id);
      this.#count(peer, -1);
    });
    this.#reading.set(id, reading);
    return reading;
  }

  #requireRoom(peer: string | undefined): void {
    const ofPeer = peer === undefined ? 0 : (this.#readingOf.get(peer) ?? 0);
    if (this.#reading.size < LOOKUPS_MAX && ofPeer < LOOKUPS_PER_PEER_MAX) return;
    throw new MiniodbError('resource_exhausted', 'too many tokens are being looked up at once', {
      code: 'too_many_lookups',
      retryAfterMs: 1_000,
    });
  }

  #count(peer: string | undefined, change: 1 | -1): void {
    if (peer === undefined) return;
    const count = (this.#readingOf.get(peer) ?? 0) + change;
    if (count === 0) this.#readingOf.delete(peer);
    else this.#readingOf.set(peer, count);
  }

  async #remember(id: string): Promise<TokenRecord | undefined> {
    const asked = performance.now();
    const record = await this.#tokens.read(id);
    // The answer is as old as the question: what was revoked while it was on its way does not live longer.
    if (record === undefined) {
      this.#absent.set(id, true, { start: asked });
      this.#genuine.delete(id);
      return undefined;
    }
    this.#genuine.set(id, true);
    this.#known.set(id, record, { start: asked });
    return record;
  }
}
