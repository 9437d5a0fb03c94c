import { LRUCache } from 'lru-cache';
import { MiniodbError } from '../runtime/errors.ts';
import { tokenExpired, unauthenticated } from './refusals.ts';
import { parseToken, provesToken, type TokenRecord } from './token.ts';

/** A revoked token is refused everywhere when this has passed; the promise to operators is 5 s. */
const RECORD_MAX_AGE_MS = 2_000;
const RECORDS_MAX = 10_000;
/** Lookups in Redis at a time. Ids that nobody has are cheap to make up, and each costs one. */
const LOOKUPS_MAX = 256;

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
  readonly #reading = new Map<string, Promise<TokenRecord | undefined>>();

  /** @param nowMs milliseconds since 1970, by Redis' clock: what expiry is counted in */
  constructor(tokens: TokenReader, nowMs: () => number, recordMaxAgeMs = RECORD_MAX_AGE_MS) {
    this.#tokens = tokens;
    this.#nowMs = nowMs;
    this.#known = new LRUCache({ max: RECORDS_MAX, ttl: recordMaxAgeMs });
    this.#absent = new LRUCache({ max: RECORDS_MAX, ttl: recordMaxAgeMs });
  }

  /**
   * @returns the user. Throws `unauthenticated`: `token_expired`, and `unauthenticated` for every other token that is
   * not good; what Redis failed with; `resource_exhausted`/`too_many_lookups`.
   */
  async userOf(text: string): Promise<string> {
    const token = parseToken(text);
    if (token === undefined) throw unauthenticated();
    const record = await this.#record(token.id);
    if (record === undefined || !provesToken(record, token.secret)) throw unauthenticated();
    // Only who holds the secret learns this.
    if (record.expiresMs !== undefined && this.#nowMs() >= record.expiresMs) throw tokenExpired();
    return record.user;
  }

  async #record(id: string): Promise<TokenRecord | undefined> {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    if (this.#absent.has(id)) return undefined;
    return this.#reading.get(id) ?? this.#read(id);
  }

  #read(id: string): Promise<TokenRecord | undefined> {
    if (this.#reading.size >= LOOKUPS_MAX) {
      throw new MiniodbError('resource_exhausted', 'too many tokens are being looked up at once', {
        code: 'too_many_lookups',
        retryAfterMs: 1_000,
      });
    }
    const reading = this.#remember(id).finally(() => this.#reading.delete(id));
    this.#reading.set(id, reading);
    return reading;
  }

  async #remember(id: string): Promise<TokenRecord | undefined> {
    const asked = performance.now();
    const record = await this.#tokens.read(id);
    // The answer is as old as the question: what was revoked while it was on its way does not live longer.
    if (record === undefined) this.#absent.set(id, true, { start: asked });
    else this.#known.set(id, record, { start: asked });
    return record;
  }
}
