import { randomBytes } from 'node:crypto';
import type { Redis } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';
import { asArray, asText, statusOf, unknownStatus } from '../redis/reply.ts';
import { runVerb } from '../redis/script.ts';
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
      await runVerb(this.#redis, 'reserveTable', [this.#fixed.tablesList], [name, tablesMax]),
    );
    if (statusOf('reserve', reserved) === 'full') {
      throw new MiniodbError(
        'resource_exhausted',
        `there are ${asText('reserve', reserved[1])} tables already, which is the limit (max_tables)`,
        { code: 'too_many_tables' },
      );
    }
    const generation = randomBytes(6).toString('hex');
    const reply = await runVerb(
      this.#redis,
      'createTable',
      [this.#fixed.config(name), this.#fixed.stats(name), this.#fixed.createdAt(name)],
      [generation, createdAt, ...storedConfig(config, this.#defaults)],
    );
    switch (statusOf('create', reply)) {
      case 'ok':
        return 'created';
      case 'exists':
        return 'exists';
      default:
        throw unknownStatus('create', reply);
    }
  }
}
