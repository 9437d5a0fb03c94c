import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Redis, whenReady } from '../redis/client.ts';
import { classifyRedisError, isNotSent } from '../redis/errors.ts';
import { asArray, asText, statusOf, unknownStatus } from '../redis/reply.ts';
import { type LuaArgument, runVerb, type Verb } from '../redis/script.ts';
import { MiniodbError } from '../runtime/errors.ts';
import { resolveConfig, storedConfig, type TableConfig, type TableConfigInput } from './config.ts';
import type { FixedKeys } from './keys.ts';

/** A live table as its config key says it is. */
export interface Table {
  readonly name: string;
  readonly generation: string;
  readonly status: string;
  readonly config: TableConfig;
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

/** How long a creation whose answer was lost is asked for again. */
const CREATE_MS_MAX = 5_000;
const REPEAT_PAUSE_MS = 20;

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

  async names(): Promise<string[]> {
    try {
      return await this.#redis.smembers(this.#fixed.tablesList);
    } catch (error) {
      throw classifyRedisError(error);
    }
  }

  /**
   * Makes a table unless there is one; 'exists' leaves that one as it is. The list is added to first, so that a crash
   * in between leaves a listed name without a table, which counts against tablesMax until it is created or repaired.
   */
  async create(
    name: string,
    config: TableConfigInput,
    tablesMax: number,
    createdAt: string,
  ): Promise<'created' | 'exists'> {
    const reserved = asArray(
      'reserve',
      await this.#untilAnswered('reserveTable', name, [this.#fixed.tablesList], [name, tablesMax]),
    );
    if (statusOf('reserve', reserved) === 'full') {
      throw new MiniodbError(
        'resource_exhausted',
        `there are ${asText('reserve', reserved[1])} tables already, which is the limit (max_tables)`,
        { code: 'too_many_tables' },
      );
    }
    // The same generation in every repeat: after a lost reply the verb answers what happened.
    const args = [randomBytes(6).toString('hex'), createdAt, ...storedConfig(config, this.#defaults)];
    const keys = [this.#fixed.config(name), this.#fixed.stats(name), this.#fixed.createdAt(name)];
    const reply = await this.#untilAnswered('createTable', name, keys, args);
    switch (statusOf('create', reply)) {
      case 'ok':
        return 'created';
      case 'exists':
        return 'exists';
      default:
        throw unknownStatus('create', reply);
    }
  }

  /** Repeats a verb that may be repeated until it answers; throws `outcome_unknown` when it does not in time. */
  async #untilAnswered(
    verb: Verb,
    table: string,
    keys: readonly string[],
    args: readonly LuaArgument[],
  ): Promise<unknown> {
    const deadline = performance.now() + CREATE_MS_MAX;
    let maybeApplied = false;
    for (;;) {
      try {
        return await runVerb(this.#redis, verb, keys, args);
      } catch (error) {
        if (!(error instanceof MiniodbError) || error.kind !== 'unavailable') throw error;
        maybeApplied ||= !isNotSent(error.cause);
        if (!maybeApplied) throw error;
        await sleep(REPEAT_PAUSE_MS);
        try {
          await whenReady(this.#redis, Math.max(deadline - performance.now(), 1));
        } catch (cause) {
          throw new MiniodbError('outcome_unknown', `Redis did not say whether table ${table} was created`, {
            code: 'outcome_unknown',
            cause,
          });
        }
      }
    }
  }
}
