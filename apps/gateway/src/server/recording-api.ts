import type { TableConfigInput } from '@miniodb/core/table/config.ts';
import type { BatchInput, CallContext, GatewayApi, QueryInput, RowInput } from '../api.ts';

/** For the servers' tests: remembers what it was called with, and answers or throws what a test says. */
export class RecordingApi implements GatewayApi {
  readonly rows: { table: string; row: RowInput; call: CallContext }[] = [];
  readonly batches: BatchInput[] = [];
  readonly tables: { table: string; config: TableConfigInput; ifNotExists: boolean }[] = [];
  readonly queries: { query: QueryInput; call: CallContext }[] = [];
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
