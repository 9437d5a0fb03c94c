import type { Redis } from '@miniodb/core/redis/client.ts';
import type { RedisClock } from '@miniodb/core/redis/clock.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { Catalog, type Table } from '@miniodb/core/table/catalog.ts';
import { checkTableConfig, type TableConfigInput } from '@miniodb/core/table/config.ts';
import { type FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { canonicalTableName, checkTableName } from '@miniodb/core/table/name.ts';
import type { TableSchema } from '@miniodb/core/table/schema.ts';
import { parseSchema } from '@miniodb/core/table/stored-schema.ts';
import { rfc3339FromMs } from '@miniodb/core/table/timestamp.ts';
import { LRUCache } from 'lru-cache';
import type { GatewayConfig } from '../config.ts';

/** A table with the schema as it was when it was read. Both may be stale: put decides. */
export interface LiveTable extends Table {
  readonly schema: TableSchema;
}

/** A view older than this is read again before it is used. */
const VIEW_MAX_AGE_MS = 1_000;
const VIEWS_MAX = 10_000;

/** This gateway's view of the tables, and their creation. */
export class Tables {
  readonly #redis: Redis;
  readonly #catalog: Catalog;
  readonly #clock: RedisClock;
  readonly #config: GatewayConfig;
  readonly #views = new LRUCache<string, Promise<LiveTable | undefined>>({
    max: VIEWS_MAX,
    ttl: VIEW_MAX_AGE_MS,
  });

  constructor(redis: Redis, fixed: FixedKeys, clock: RedisClock, config: GatewayConfig) {
    this.#redis = redis;
    this.#clock = clock;
    this.#config = config;
    this.#catalog = new Catalog(redis, fixed, config.tableDefaults);
  }

  /** The default table exists from the start. */
  async ensureDefault(): Promise<void> {
    await this.#create(this.#config.defaultTable, {});
  }

  /** Key form of a name as a request spells it; the empty string is the default table. Throws `invalid_table_name`. */
  canonical(name: string): string {
    if (name === '') return this.#config.defaultTable;
    // The default table's name may break the pattern that others must keep.
    if (canonicalTableName(name) !== this.#config.defaultTable)
      checkTableName(name, this.#config.tableNamePattern);
    return canonicalTableName(name);
  }

  /** The table that rows are written to, created when that is allowed. */
  async forWrite(name: string): Promise<LiveTable> {
    const canonical = this.canonical(name);
    const table = await this.#view(canonical);
    if (table !== undefined) return table;
    if (!this.#config.autoCreateTables) throw tableNotFound(name);
    await this.#create(canonical, {});
    return this.#fresh(canonical);
  }

  /** @param name in key form */
  async forQuery(name: string): Promise<LiveTable> {
    const table = await this.#view(name);
    if (table === undefined) throw tableNotFound(name);
    return table;
  }

  async names(): Promise<ReadonlySet<string>> {
    return new Set(await this.#catalog.names());
  }

  /** Throws `already_exists`/`table_already_exists` unless ifNotExists. */
  async create(name: string, config: TableConfigInput, ifNotExists: boolean): Promise<void> {
    const canonical = this.canonical(name);
    const outcome = await this.#create(canonical, checkTableConfig(config));
    if (outcome === 'exists' && !ifNotExists) {
      throw new MiniodbError('already_exists', `table ${name} already exists`, {
        code: 'table_already_exists',
      });
    }
  }

  /** The same table as now seen here; another incarnation of the name is not the same table. */
  async current(table: LiveTable): Promise<LiveTable> {
    const view = await this.#view(table.name);
    return view?.generation === table.generation ? view : table;
  }

  /** As current, but read now. Throws `table_gone` when that incarnation is no more. */
  async refresh(table: LiveTable): Promise<LiveTable> {
    this.#views.delete(table.name);
    const view = await this.#view(table.name);
    if (view?.generation !== table.generation) {
      throw new MiniodbError('not_found', `table ${table.name} does not exist`, { code: 'table_gone' });
    }
    return view;
  }

  async #create(canonical: string, config: TableConfigInput): Promise<'created' | 'exists'> {
    const createdAt = rfc3339FromMs(this.#clock.nowMs());
    const outcome = await this.#catalog.create(canonical, config, this.#config.tablesMax, createdAt);
    this.#views.delete(canonical);
    return outcome;
  }

  async #fresh(canonical: string): Promise<LiveTable> {
    this.#views.delete(canonical);
    return this.forQuery(canonical);
  }

  #view(canonical: string): Promise<LiveTable | undefined> {
    const known = this.#views.get(canonical);
    if (known !== undefined) return known;
    const reading = this.#read(canonical);
    this.#views.set(canonical, reading);
    const forget = () => {
      if (this.#views.peek(canonical) === reading) this.#views.delete(canonical);
    };
    // Neither failures nor absent tables are remembered: the next call looks again.
    reading.then((table) => table ?? forget(), forget);
    return reading;
  }

  async #read(canonical: string): Promise<LiveTable | undefined> {
    const table = await this.#catalog.read(canonical);
    if (table === undefined) return undefined;
    try {
      const hash = await this.#redis.hgetall(new ProtocolKeys(canonical, table.generation).schema);
      return { ...table, schema: parseSchema(Object.entries(hash)) };
    } catch (error) {
      throw classifyRedisError(error);
    }
  }
}

function tableNotFound(name: string): MiniodbError {
  return new MiniodbError('not_found', `table ${name} does not exist`, { code: 'table_not_found' });
}
