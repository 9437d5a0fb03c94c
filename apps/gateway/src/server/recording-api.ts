import type { BackupInfo } from '@miniodb/core/backup/requests.ts';
import { DEFAULT_TABLE_CONFIG, type TableConfigInput } from '@miniodb/core/table/config.ts';
import type {
  BackupInput,
  BatchInput,
  CallContext,
  GatewayApi,
  QueryInput,
  RestoreInput,
  RowInput,
  TableChange,
  TableInfo,
  TaskInfo,
} from '../api.ts';

const INFO: TableInfo = {
  name: 't',
  config: { ...DEFAULT_TABLE_CONFIG, max_flush_rows: 2 ** 40 },
  inherited: ['layout'],
  createdAt: '2026-01-01T00:00:00.000000Z',
  lastWrite: '',
  status: 'active',
};

const TASK: TaskInfo = {
  id: 'backup-20260101-000000-abcdef',
  kind: 'backup',
  table: 't',
  target: 't',
  state: 'done',
  progress: undefined,
  result: {
    backup: 'backup-20260101-000000-abcdef',
    table: 't',
    files: 3,
    rows: 5,
    pendingRows: 2,
    bytes: 7,
    copiedBytes: 7,
    keys: ['t/a'],
  },
  failure: undefined,
};

/** For the servers' tests: remembers what it was called with, and answers or throws what a test says. */
export class RecordingApi implements GatewayApi {
  readonly rows: { table: string; row: RowInput; call: CallContext }[] = [];
  readonly batches: BatchInput[] = [];
  readonly tables: { table: string; config: TableConfigInput; ifNotExists: boolean }[] = [];
  readonly queries: { query: QueryInput; call: CallContext }[] = [];
  readonly drops: { table: string; ifExists: boolean; cascade: boolean }[] = [];
  readonly cleanups: { table: string; olderThan: string; dryRun: boolean }[] = [];
  readonly flushes: { table: string; waits: boolean }[] = [];
  readonly patterns: string[] = [];
  readonly backups: { table: string; wanted: BackupInput }[] = [];
  readonly restores: { table: string; wanted: RestoreInput }[] = [];
  readonly changes: { table: string; change: TableChange }[] = [];
  /** Thrown by every method while it is set. */
  failure: Error | undefined;
  /** Awaited by every method before it answers. */
  gate: (call: CallContext) => Promise<void> = async () => {};
  healthy = true;

  async #answer(call: CallContext): Promise<void> {
    await this.gate(call);
    if (this.failure !== undefined) throw this.failure;
  }

  async writeRow(table: string, row: RowInput, call: CallContext) {
    this.rows.push({ table, row, call });
    await this.#answer(call);
    return { position: 'p1' };
  }

  async writeBatch(request: BatchInput, call: CallContext) {
    this.batches.push(request);
    await this.#answer(call);
    return {
      accepted: 2,
      rejected: 1,
      errors: [{ index: 0, code: 'invalid_id', message: 'id must not be empty' }],
      duplicate: false,
      position: 'p2',
      ack: 'durable' as const,
      batchId: request.batchId,
    };
  }

  async createTable(table: string, config: TableConfigInput, ifNotExists: boolean, call: CallContext) {
    this.tables.push({ table, config, ifNotExists });
    await this.#answer(call);
  }

  async dropTable(
    table: string,
    options: { readonly ifExists: boolean; readonly cascade: boolean },
    call: CallContext,
  ) {
    this.drops.push({ table, ...options });
    await this.#answer(call);
    return { filesDeleted: 3 };
  }

  async listTables(pattern: string, call: CallContext) {
    this.patterns.push(pattern);
    await this.#answer(call);
    return [INFO];
  }

  async describeTable(_table: string, call: CallContext) {
    await this.#answer(call);
    return {
      info: INFO,
      stats: {
        recordCount: 2 ** 40,
        fileCount: 2,
        sizeBytes: 3,
        oldestRecord: '2026-01-01T00:00:00.000000Z',
        newestRecord: '2026-01-02T00:00:00.000000Z',
        pendingRows: 4,
        pendingBytes: 5,
      },
      columns: [{ name: 'n', type: 'int53' as const }],
    };
  }

  async cleanupTable(
    table: string,
    wanted: { readonly olderThan: string; readonly dryRun: boolean },
    call: CallContext,
  ) {
    this.cleanups.push({ table, ...wanted });
    await this.#answer(call);
    return {
      before: '2026-01-01T00:00:00.000000Z',
      dryRun: wanted.dryRun,
      files: 1,
      rows: 2,
      bytes: 3,
      filesLeft: 4,
      rowsLeft: 5,
      pendingRows: 6,
    };
  }

  async flushTable(table: string, waits: boolean, call: CallContext) {
    this.flushes.push({ table, waits });
    await this.#answer(call);
    return { flushed: waits, pendingRows: 6, message: '' };
  }

  async updateTable(table: string, change: TableChange, call: CallContext) {
    this.changes.push({ table, change });
    await this.#answer(call);
    return INFO;
  }

  async backupTable(table: string, wanted: BackupInput, call: CallContext): Promise<TaskInfo> {
    this.backups.push({ table, wanted });
    await this.#answer(call);
    return TASK;
  }

  async restoreTable(table: string, wanted: RestoreInput, call: CallContext): Promise<TaskInfo> {
    this.restores.push({ table, wanted });
    await this.#answer(call);
    return { ...TASK, kind: 'restore', id: 'restore-20260101-000000-abcdef' };
  }

  async listBackups(_table: string, call: CallContext): Promise<readonly BackupInfo[]> {
    await this.#answer(call);
    return [];
  }

  async lookAtTask(_id: string, call: CallContext): Promise<TaskInfo> {
    await this.#answer(call);
    return TASK;
  }

  async stats(call: CallContext) {
    await this.#answer(call);
    return { buffer: { pending_rows: 4 }, redis: { keys: 5 }, store: { files: 6 } };
  }

  async nodes(call: CallContext) {
    await this.#answer(call);
    return [{ id: 'gateway-1', status: 'live', type: 'gateway', address: '127.0.0.1:1', lastSeen: 7 }];
  }

  async query(query: QueryInput, call: CallContext) {
    this.queries.push({ query, call });
    await this.#answer(call);
    return {
      resultJson: '[{"n":1}]',
      columns: [{ name: 'n', type: 'BIGINT' }],
      rowCount: 1,
      elapsedMs: 2.5,
      stats: { filesRead: 3, bytesRead: 4, pendingRows: 5 },
    };
  }

  async health(call: CallContext) {
    await this.#answer(call);
    return { healthy: this.healthy, version: '1.2.3', details: { redis: 'ok' } };
  }
}
