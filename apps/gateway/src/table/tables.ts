import { ANONYMOUS, type Principal } from '@miniodb/core/auth/principal.ts';
import type { PermissionsSection } from '@miniodb/core/auth/sections.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import type { RedisClock } from '@miniodb/core/redis/clock.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { Catalog, type Table, type TableOwner } from '@miniodb/core/table/catalog.ts';
import { checkTableConfig, type TableConfigInput } from '@miniodb/core/table/config.ts';
import { type FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { canonicalTableName, checkTableName } from '@miniodb/core/table/name.ts';
import type { TableSchema } from '@miniodb/core/table/schema.ts';
import { parseSchema } from '@miniodb/core/table/stored-schema.ts';
import { rfc3339FromMs } from '@miniodb/core/table/timestamp.ts';
import { LRUCache } from 'lru-cache';
import type { GatewayConfig } from '../config.ts';
import type { KnownHistory } from './history.ts';

/** A table with the schema as it was when it was read. Both may be stale: put decides. */
export interface LiveTable extends Table {
  readonly schema: TableSchema;
}

/** A view older than this is read again before it is used. */
const VIEW_MAX_AGE_MS = 1_000;
const VIEWS_MAX = 10_000;

type TablesConfig = Pick<
  GatewayConfig,
  'defaultTable' | 'autoCreateTables' | 'tablesMax' | 'tableNamePattern' | 'tableDefaults'
> & { readonly permissions?: Pick<PermissionsSection, 'limits'> };

/** This gateway's view of the tables, and their creation. */
export class Tables {
  readonly #redis: Redis;
  readonly #catalog: Catalog;
  readonly #clock: RedisClock;
  readonly #config: TablesConfig;
  readonly #history: KnownHistory;
  readonly #views = new LRUCache<string, Promise<LiveTable | undefined>>({
    max: VIEWS_MAX,
    ttl: VIEW_MAX_AGE_MS,
  });

  constructor(
    redis: Redis,
    fixed: FixedKeys,
    clock: RedisClock,
    config: TablesConfig,
    history: KnownHistory,
  ) {
    this.#redis = redis;
    this.#clock = clock;
    this.#config = config;
    this.#history = history;
    this.#catalog = new Catalog(redis, fixed, config.tableDefaults);
  }

  /** The default table exists from the start. */
  async ensureDefault(): Promise<void> {
    await this.#create(this.#config.defaultTable, {}, ANONYMOUS);
  }

  /** Key form of a name as a request spells it; the empty string is the default table. Throws `invalid_table_name`. */
  canonical(name: string): string {
    if (name === '') return this.#config.defaultTable;
    // The default table's name may break the pattern that others must keep.
    if (canonicalTableName(name) !== this.#config.defaultTable)
      checkTableName(name, this.#config.tableNamePattern);
    return canonicalTableName(name);
  }

  /** The table that rows are written to, created (as the principal's) when that is allowed. */
  async forWrite(name: string, principal: Principal = ANONYMOUS): Promise<LiveTable> {
    const canonical = this.canonical(name);
    this.#history.requireForWrites();
    const table = await this.#view(canonical);
    if (table !== undefined) return table;
    await this.#history.requireForCreation();
    if (!this.#config.autoCreateTables) throw tableNotFound(name);
    await this.#create(canonical, {}, principal);
    return this.#fresh(canonical);
  }

  /** @param name in key form */
  async forQuery(name: string): Promise<LiveTable> {
    const table = await this.#view(name);
    if (table === undefined) throw tableNotFound(name);
    return table;
  }

  async names(): Promise<ReadonlySet<string>> {
    const [names] = await Promise.all([this.#catalog.names(), this.#history.require()]);
    return new Set(names);
  }

  /** Before it is said that a table is not there. Throws as KnownHistory.require. */
  requireHistory(): Promise<void> {
    return this.#history.require();
  }

  /** Throws `already_exists`/`table_already_exists` unless ifNotExists. */
  async create(
    name: string,
    config: TableConfigInput,
    ifNotExists: boolean,
    principal: Principal = ANONYMOUS,
  ): Promise<void> {
    const canonical = this.canonical(name);
    await this.#history.requireForCreation();
    const outcome = await this.#create(canonical, config, principal);
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

  /** The next request reads the table anew: what is seen of it here is no more, or has just been changed. */
  forget(name: string): void {
    this.#views.delete(name);
  }

  async #create(
    canonical: string,
    config: TableConfigInput,
    principal: Principal,
  ): Promise<'created' | 'exists'> {
    const createdAt = rfc3339FromMs(this.#clock.nowMs());
    try {
      const checked = checkTableConfig(config);
      const owner = this.ownerOf(principal);
      return await this.#catalog.create(canonical, checked, this.#config.tablesMax, createdAt, owner);
    } catch (error) {
      throw asCreateFailure(error);
    } finally {
      this.#views.delete(canonical);
    }
  }

  /** undefined: nobody in particular, while permissions are off. */
  ownerOf({ user }: Principal): TableOwner | undefined {
    if (user === ANONYMOUS.user) return undefined;
    // Users may be called as members of every object are.
    const limits = new Map(Object.entries(this.#config.permissions?.limits ?? {}));
    const tablesMax = (limits.get(user) ?? limits.get('*'))?.max_tables ?? Number.MAX_SAFE_INTEGER;
    return { user, tablesMax };
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

/** Clients match the beginning of this text. */
function asCreateFailure(thrown: unknown): unknown {
  if (!(thrown instanceof MiniodbError) || !CREATE_FAILURES.has(thrown.code)) return thrown;
  const { kind, code, message } = thrown;
  return new MiniodbError(kind, `failed to create table: ${message}`, { code, cause: thrown });
}

const CREATE_FAILURES: ReadonlySet<string> = new Set(['too_many_tables', 'invalid_table_config']);

export function tableNotFound(name: string): MiniodbError {
  return new MiniodbError('not_found', `table ${name} does not exist`, { code: 'table_not_found' });
}
