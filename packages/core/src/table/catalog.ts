import { randomBytes } from 'node:crypto';
import type { Redis } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';
import { asArray, asText, statusOf, unknownStatus } from '../redis/reply.ts';
import type { LuaArgument, Verb } from '../redis/script.ts';
import { tooSlow, untilAnswered, verbDeadlineMs } from '../redis/until-answered.ts';
import { MiniodbError } from '../runtime/errors.ts';
import { hintCatalog } from './catalog-hint.ts';
import { resolveConfig, storedConfig, type TableConfig, type TableConfigInput } from './config.ts';
import { type FixedKeys, tablesOfUser } from './keys.ts';
import { enterListing, repairTablesOfUser, settleListing } from './listing.ts';

/** A live table as its config key says it is. */
export interface Table {
  readonly name: string;
  readonly generation: string;
  readonly status: string;
  readonly config: TableConfig;
}

/** Who creates a table, and how many that one may have. */
export interface TableOwner {
  readonly user: string;
  readonly tablesMax: number;
}

export function tableFromHash(
  name: string,
  hash: ReadonlyMap<string, string>,
  defaults: TableConfig,
): Table | undefined {
  const generation = hash.get('generation');
  const status = hash.get('status');
  if (generation === undefined || status === undefined || status === 'deleting') return undefined;
  const format = hash.get('format');
  if (format !== '1') {
    throw new MiniodbError(
      'failed_precondition',
      `table ${name} has config format ${format}; this version reads 1`,
      {
        code: 'table_format_unsupported',
      },
    );
  }
  return { name, generation, status, config: resolveConfig(hash, defaults) };
}

/** Reads and creates tables in Redis. Keeps nothing: callers that need a cache have one with their own rules. */
export class Catalog {
  readonly #redis: Redis;
  readonly #fixed: FixedKeys;
  readonly #defaults: TableConfig;

  constructor(redis: Redis, fixed: FixedKeys, defaults: TableConfig) {
    this.#redis = redis;
    this.#fixed = fixed;
    this.#defaults = defaults;
  }

  /** @param name in lower case; undefined when there is no such table */
  async read(name: string): Promise<Table | undefined> {
    try {
      const hash = await this.#redis.hgetall(this.#fixed.config(name));
      return tableFromHash(name, new Map(Object.entries(hash)), this.#defaults);
    } catch (error) {
      throw classifyRedisError(error);
    }
  }

  /** May hold names without a table: creations under way, and those that were left half way. */
  async names(): Promise<string[]> {
    try {
      return await this.#redis.smembers(this.#fixed.tablesList);
    } catch (error) {
      throw classifyRedisError(error);
    }
  }

  /**
   * Makes a table unless there is one; 'exists' leaves that one as it is. The lists are added to first, so that a crash
   * in between leaves a listed name without a table, which counts until it is created or repaired.
   * Throws `too_many_tables`, of the cluster or of the owner.
   */
  async create(
    name: string,
    config: TableConfigInput,
    tablesMax: number,
    createdAt: string,
    owner?: TableOwner,
  ): Promise<'created' | 'exists'> {
    if (owner !== undefined) {
      // Before the reservation: what others made must not count as this owner's, not even for a moment.
      if ((await this.read(name)) !== undefined) return 'exists';
      await this.#reserveForUser(name, owner);
    }
    await this.#reserve(name, tablesMax);
    // The same generation in every repeat: after a lost reply the verb answers what happened.
    const deadlineMs = await verbDeadlineMs(this.#redis);
    const generation = randomBytes(6).toString('hex');
    const args = [generation, createdAt, deadlineMs, ...storedConfig(config, this.#defaults)];
    if (owner !== undefined) args.push('created_by', owner.user);
    const fixed = this.#fixed;
    const keys = [fixed.config(name), fixed.stats(name), fixed.createdAt(name), fixed.drops(name)];
    const reply = await this.#untilAnswered('createTable', name, keys, args);
    switch (statusOf('create', reply)) {
      case 'ok':
        hintCatalog(this.#redis);
        // It is created, whatever becomes of this: the name has been entered once already.
        await enterListing(this.#redis, this.#fixed, name, owner?.user).catch(() => {});
        return 'created';
      case 'exists':
        // Somebody was faster, and the reservation may have been for that one's table.
        await settleListing(this.#redis, this.#fixed, name, owner?.user).catch(() => {});
        return 'exists';
      case 'expired':
        throw tooSlow(`table ${name} was not created`);
      default:
        throw unknownStatus('create', reply);
    }
  }

  async #reserve(name: string, tablesMax: number): Promise<void> {
    const reply = asArray(
      'reserve',
      await this.#untilAnswered('reserveTable', name, [this.#fixed.tablesList], [name, tablesMax]),
    );
    if (statusOf('reserve', reply) !== 'full') return;
    throw new MiniodbError(
      'resource_exhausted',
      `there are ${asText('reserve', reply[1])} tables already, which is the limit (max_tables)`,
      { code: 'too_many_tables' },
    );
  }

  async #reserveForUser(name: string, { user, tablesMax }: TableOwner): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      const reply = asArray(
        'reserve-for-user',
        await this.#untilAnswered('reserveForUser', name, [tablesOfUser(user)], [name, tablesMax]),
      );
      if (statusOf('reserve-for-user', reply) !== 'full') return;
      if (attempt > 0 || (await repairTablesOfUser(this.#redis, this.#fixed, user)) === 0) {
        throw new MiniodbError(
          'resource_exhausted',
          `${user} has ${asText('reserve-for-user', reply[1])} tables already, which is the limit of that user (max_tables)`,
          { code: 'too_many_tables' },
        );
      }
    }
  }

  #untilAnswered(
    verb: Verb,
    table: string,
    keys: readonly string[],
    args: readonly LuaArgument[],
  ): Promise<unknown> {
    return untilAnswered(this.#redis, verb, keys, args, `table ${table} was created`);
  }
}
