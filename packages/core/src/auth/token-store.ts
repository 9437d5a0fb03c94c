import type { Redis } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';
import { MiniodbError } from '../runtime/errors.ts';
import { GLOBAL_KEYS } from '../table/keys.ts';
import { type NewToken, parseTokenRecord, type TokenRecord } from './token.ts';

/** Far more than anybody hands out; a loop that makes tokens ends here, and not in Redis' memory. */
const TOKENS_MAX = 100_000;
const SCAN_COUNT = 1_000;

/** The records of all API tokens in Redis. */
export class TokenStore {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Repeatable: the record is the same. Throws `resource_exhausted`/`too_many_tokens`. */
  async add({ id, record }: NewToken): Promise<void> {
    await this.#ask(async () => {
      const count = await this.#redis.hlen(GLOBAL_KEYS.tokens);
      if (count >= TOKENS_MAX) {
        throw new MiniodbError(
          'resource_exhausted',
          `there are ${count} tokens, which is the limit: revoke some`,
          {
            code: 'too_many_tokens',
          },
        );
      }
      await this.#redis.hset(GLOBAL_KEYS.tokens, id, JSON.stringify(record));
    });
  }

  async read(id: string): Promise<TokenRecord | undefined> {
    const text = await this.#ask(() => this.#redis.hget(GLOBAL_KEYS.tokens, id));
    return text === null ? undefined : parseTokenRecord(id, text);
  }

  /** By id; a record that cannot be read is there without its fields, so that it can be revoked. */
  async list(): Promise<ReadonlyMap<string, TokenRecord | undefined>> {
    const found = new Map<string, TokenRecord | undefined>();
    let cursor = '0';
    do {
      const at = cursor;
      const [next, fields] = await this.#ask(() =>
        this.#redis.hscan(GLOBAL_KEYS.tokens, at, 'COUNT', SCAN_COUNT),
      );
      for (let index = 0; index + 1 < fields.length; index += 2) {
        found.set(fields[index]!, readable(fields[index]!, fields[index + 1]!));
      }
      cursor = next;
    } while (cursor !== '0');
    return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Forgets the record: nothing distinguishes the token from one that never was. @returns whether there was one */
  async revoke(id: string): Promise<boolean> {
    return (await this.#ask(() => this.#redis.hdel(GLOBAL_KEYS.tokens, id))) > 0;
  }

  async #ask<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    try {
      return await work();
    } catch (error) {
      throw classifyRedisError(error);
    }
  }
}

function readable(id: string, text: string): TokenRecord | undefined {
  try {
    return parseTokenRecord(id, text);
  } catch {
    return undefined;
  }
}
