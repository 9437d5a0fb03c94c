import { encodeKeyPart } from './key-codec.ts';

/**
 * Every Redis key name and object key there is. Table names come in lower case (table/name.ts); other user text
 * goes through the key codec. All keys of a table carry its hash tag, and protocol keys its generation as well, so
 * that one Lua verb can see the whole table and a drop is one switch.
 *
 * The fixed names that clients know have no braces on a single Redis and the tag on Redis Cluster.
 */
export type KeyMode = 'single' | 'cluster';

export class FixedKeys {
  readonly #mode: KeyMode;
  readonly tablesList = 'tables:list';

  constructor(mode: KeyMode) {
    this.#mode = mode;
  }

  #tag(table: string): string {
    return this.#mode === 'cluster' ? `{${table}}` : table;
  }

  /** HASH: TableConfig's fields by name, and generation, status, format. The truth about a table. */
  config(table: string): string {
    return `table:${this.#tag(table)}:config`;
  }

  /** HASH: record_count, file_count, size_bytes, oldest_record, newest_record. */
  stats(table: string): string {
    return `table:${this.#tag(table)}:stats`;
  }

  createdAt(table: string): string {
    return `table:${this.#tag(table)}:created_at`;
  }

  lastWrite(table: string): string {
    return `table:${this.#tag(table)}:last_write`;
  }

  /** HASH generation -> JSON of what is left of it (table/drop-record.ts); `<generation>|swept` -> ms. */
  drops(table: string): string {
    return `{${table}}:drops`;
  }

  /** SET of object keys of the files that one id has to itself. */
  idFiles(table: string, id: string, day: string): string {
    return `index:table:${this.#tag(table)}:id:${encodeKeyPart(id)}:${day}`;
  }

  /** The id set that an object is in; undefined for objects that ids share. */
  idFilesOfObject(table: string, objectKey: string): string | undefined {
    const [, folder, day] = objectKey.split('/');
    // No encoded id begins like this: after the codec's `~` comes a hexadecimal digit or `-`.
    if (folder === undefined || day === undefined || folder.startsWith('~s')) return undefined;
    return `index:table:${this.#tag(table)}:id:${folder}:${day}`;
  }
}

/** Keys of one incarnation of a table. */
export class ProtocolKeys {
  readonly #prefix: string;

  constructor(table: string, generation: string) {
    this.#prefix = `{${table}}:${generation}:`;
  }

  /** HASH folded column name -> `<type>:<name>`. */
  get schema(): string {
    return `${this.#prefix}schema`;
  }
  /** HASH: seq, schema_version, pending_rows, pending_bytes, pending_batches, `u:<shard>:rows|bytes|batches|asked`, last_flush_ms. */
  get counters(): string {
    return `${this.#prefix}c`;
  }
  /** ZSET put id, or `!<put id>` for a refused repeat, by the time (ms) from which it may be forgotten. */
  get done(): string {
    return `${this.#prefix}done`;
  }
  /** HASH dedup key -> `<hash of the request>|<position>`. */
  get keyed(): string {
    return `${this.#prefix}k`;
  }
  /** ZSET dedup key by its expiry (ms). */
  get keyedExpiry(): string {
    return `${this.#prefix}kx`;
  }
  /** ZSET of all pending batches of a shard, sealed or not, by put sequence. */
  pending(shard: string): string {
    return `${this.#prefix}b:${shard}`;
  }
  /** ZSET of those that no seal holds. */
  unsealed(shard: string): string {
    return `${this.#prefix}u:${shard}`;
  }
  /** HASH batch id -> batch meta (queue/batch-meta.ts). */
  batchMeta(shard: string): string {
    return `${this.#prefix}m:${shard}`;
  }
  /** STRING: zstd frames of row lines. */
  payload(batchId: string): string {
    return `${this.#prefix}p:${batchId}`;
  }
  /** ZSET seal id by the time (ms) it was sealed. */
  seals(shard: string): string {
    return `${this.#prefix}sl:${shard}`;
  }
  /** HASH: what a flush needs to know of one seal. */
  seal(sealId: string): string {
    return `${this.#prefix}se:${sealId}`;
  }
  /** ZSET batch id by put sequence: what the seal holds. */
  sealBatches(sealId: string): string {
    return `${this.#prefix}sb:${sealId}`;
  }
  /** SET of seal ids that are dead for ever. */
  revoked(shard: string): string {
    return `${this.#prefix}rv:${shard}`;
  }
  /** ZSET of set-aside batches by put sequence. */
  setAside(shard: string): string {
    return `${this.#prefix}as:${shard}`;
  }
  /** HASH batch id -> `<cause>`. */
  setAsideCause(shard: string): string {
    return `${this.#prefix}ac:${shard}`;
  }
  /** STRING: the index' token, counts up with every change. */
  get indexToken(): string {
    return `${this.#prefix}tok`;
  }
  /** HASH `<shard>:<day>` -> token of the last change there. */
  get indexMap(): string {
    return `${this.#prefix}ix`;
  }
  /** HASH file id -> file entry (index/file-entry.ts). @param partition `<shard>:<day>` or `<shard>:~mixed` */
  entries(partition: string): string {
    return `${this.#prefix}e:${partition}`;
  }
  /** ZSET plan id by the time (ms) it expires. */
  get plans(): string {
    return `${this.#prefix}pl`;
  }
  /** HASH plan id -> JSON for people. */
  get planTexts(): string {
    return `${this.#prefix}pt`;
  }
  /** ZSET id of a plan whose swap was taken, by the time (ms) from which it may be forgotten. */
  get donePlans(): string {
    return `${this.#prefix}pd`;
  }
  /** ZSET id of a plan whose objects were collected, by the time (ms) from which it may be forgotten. */
  get deadPlans(): string {
    return `${this.#prefix}px`;
  }
  /** ZSET pin id by the time (ms) it expires: while one is live, doomed objects stay. */
  get pins(): string {
    return `${this.#prefix}pn`;
  }
  /** ZSET key of an object that left the index, by the time (ms) from which it may be deleted. */
  get doomed(): string {
    return `${this.#prefix}dm`;
  }
  /** All keys above that take no argument: a drop removes them by this list. */
  get ofTable(): string[] {
    return [
      this.schema,
      this.counters,
      this.done,
      this.keyed,
      this.keyedExpiry,
      this.indexToken,
      this.indexMap,
      this.plans,
      this.planTexts,
      this.donePlans,
      this.deadPlans,
      this.pins,
      this.doomed,
    ];
  }
  /** All keys above that take a shard and nothing else. */
  ofShard(shard: string): string[] {
    return [
      this.pending(shard),
      this.unsealed(shard),
      this.batchMeta(shard),
      this.seals(shard),
      this.revoked(shard),
      this.setAside(shard),
      this.setAsideCause(shard),
    ];
  }
  /** Prefix of the table's BullMQ queues, which are named by shard. */
  get queuePrefix(): string {
    return `${this.#prefix}q`;
  }
}

export const GLOBAL_KEYS = {
  /** ZSET `<table>|<shard>` by time (ms): shards that may have work. A hint, never the truth. */
  dirty: '{miniodb}:dirty',
  /** Channel: there is a hint where there was none. */
  hinted: '{miniodb}:hinted',
  /** ZSET member id by time (ms) of its last heartbeat. */
  members: '{miniodb}:members',
  /** HASH member id -> JSON of what it said of itself. */
  memberInfo: '{miniodb}:members:info',
  /** HASH token id -> token record (auth/token.ts). */
  tokens: '{miniodb}:tokens',
  /** STRING: 64 hexadecimal digits that gateways and queriers know each other by (auth/cluster-secret.ts). */
  secret: '{miniodb}:secret',
  /** ZSET `<table>|<generation>` by time (ms): there may be something left of it. A hint, never the truth. */
  drops: '{miniodb}:drops',
  /** STRING: `<cluster id> <created ms> new|known` (placement/cluster-id.ts). */
  cluster: '{miniodb}:cluster',
  /** STRING: counts creations and changes of tables. A hint, never the truth (table/catalog-hint.ts). */
  catalog: '{miniodb}:catalog',
  /** Prefix of the BullMQ queues of what gateways ask flushers for (queue/tasks.ts). */
  tasks: '{miniodb}:tasks',
} as const;

/** ZSET of the tables that a user's creations made, by the time (ms) they were entered. */
export function tablesOfUser(user: string): string {
  return `{miniodb}:tables-of:${encodeKeyPart(user)}`;
}

/** `s00`, `s01`, … */
export function shardName(shard: number): string {
  return `s${String(shard).padStart(2, '0')}`;
}

export const MIXED_DAY = '~mixed';

/** The folder of a file in the bucket. @param owner an id, or undefined for files that ids share */
export function objectFolder(table: string, shard: string, day: string, owner: string | undefined): string {
  return `${table}/${owner === undefined ? `~${shard}` : encodeKeyPart(owner)}/${day}`;
}
