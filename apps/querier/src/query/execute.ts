import {
  type DuckDBPreparedStatement,
  type DuckDBResult,
  type DuckDb,
  StatementType,
} from '@miniodb/core/duckdb/instance.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { bindParameters } from './parameters.ts';
import { queryError } from './query-error.ts';
import { distinctNames, RowWriter, typeName } from './result-json.ts';
import { lockSandbox, openSandbox, type SandboxLimits } from './sandbox.ts';
import { pathsOf, type TableSource, viewSql } from './views.ts';

export interface ExecutorOptions extends SandboxLimits {
  readonly resultRowsMax: number;
  /** Of the JSON text, UTF-8. */
  readonly resultBytesMax: number;
  /** From run() to the last chunk. */
  readonly timeoutMs: number;
  /** How many instances are kept ready (opening one takes 10 to 18 ms and 4 MB). */
  readonly prewarm: number;
}

export interface QueryPlan {
  /** Gated: nothing else may come here. */
  readonly sql: string;
  /** JSON scalars for `$1`, `$2`, … */
  readonly params: readonly unknown[];
  readonly sources: readonly TableSource[];
}

export interface QueryResult {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** JSON text of an array of row objects, cut anywhere. To be read to its end, once, or closed. */
  readonly chunks: AsyncIterable<string>;
  /** Rows read so far. */
  rowCount(): number;
  /** Stops the query if it still runs and frees its instance. Repeatable. */
  close(): Promise<void>;
}

export interface Executor {
  /**
   * Errors, here and while reading chunks: `invalid_argument` with sql_* codes of query-error.ts;
   * `resource_exhausted`/`result_too_large` and `query_out_of_memory`; `deadline_exceeded`/`query_timeout`;
   * `cancelled`/`cancelled`; `unavailable`/`file_gone`, when a new snapshot can help.
   */
  run(plan: QueryPlan, signal: AbortSignal): Promise<QueryResult>;
  close(): Promise<void>;
}

export function createExecutor(options: ExecutorOptions): Executor {
  return new SandboxExecutor(options);
}

class SandboxExecutor implements Executor {
  readonly #options: ExecutorOptions;
  readonly #ready: Promise<DuckDb>[] = [];
  readonly #running = new Set<RunningQuery>();
  #closed = false;

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.#refill();
  }

  async run(plan: QueryPlan, signal: AbortSignal): Promise<QueryResult> {
    if (this.#closed) throw new MiniodbError('unavailable', 'the querier is stopping', { code: 'stopping' });
    const db = await (this.#ready.shift() ?? openSandbox(this.#options));
    const query = new RunningQuery(db, plan, this.#options, signal, () => {
      this.#running.delete(query);
      this.#refill();
    });
    this.#running.add(query);
    await query.start();
    return query;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(Array.from(this.#running, (query) => query.close()));
    for (const opening of this.#ready.splice(0)) {
      await opening.then(
        (db) => db.close(),
        () => undefined,
      );
    }
  }

  /** After a query rather than during it: opening one would take the processor from it. */
  #refill(): void {
    while (!this.#closed && this.#ready.length < this.#options.prewarm) {
      const opening = openSandbox(this.#options);
      // Whoever takes it sees the failure.
      opening.catch(() => undefined);
      this.#ready.push(opening);
    }
  }
}

/**
 * One query on its own instance: starting → streaming → closed. Timer and caller interrupt it in either of the
 * first two; the reason they leave decides what the interrupted call answers.
 */
class RunningQuery implements QueryResult {
  columns: QueryResult['columns'] = [];
  readonly chunks: AsyncIterable<string> = { [Symbol.asyncIterator]: () => this.#chunks() };
  readonly #db: DuckDb;
  readonly #plan: QueryPlan;
  readonly #options: ExecutorOptions;
  readonly #signal: AbortSignal;
  readonly #ended: () => void;
  readonly #timer: NodeJS.Timeout;
  /** Runs on the connection now; the instance may be closed only after it. */
  #busy: Promise<unknown> = Promise.resolve();
  #stopReason: MiniodbError | undefined;
  #result: DuckDBResult | undefined;
  #rows = 0;
  #closed = false;

  constructor(db: DuckDb, plan: QueryPlan, options: ExecutorOptions, signal: AbortSignal, ended: () => void) {
    this.#db = db;
    this.#plan = plan;
    this.#options = options;
    this.#signal = signal;
    this.#ended = ended;
    const { timeoutMs } = options;
    this.#timer = setTimeout(() => {
      this.#stop(
        new MiniodbError('deadline_exceeded', `the query took longer than ${timeoutMs} ms`, {
          code: 'query_timeout',
        }),
      );
    }, timeoutMs);
    signal.addEventListener('abort', this.#onAbort);
    if (signal.aborted) this.#onAbort();
  }

  rowCount(): number {
    return this.#rows;
  }

  async start(): Promise<void> {
    try {
      await this.#step(() => lockSandbox(this.#db, pathsOf(this.#plan.sources)));
      for (const source of this.#plan.sources) {
        await this.#step(() => this.#db.connection.run(viewSql(source)));
      }
      const statement = await this.#step(() => this.#prepare());
      const result = await this.#step(() => statement.stream());
      const names = distinctNames(result.columnNames());
      const types = result.columnTypes();
      this.columns = names.map((name, index) => ({ name, type: typeName(types[index]!) }));
      this.#result = result;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#stopReason ??= cancelled();
    this.#db.connection.interrupt();
    await this.#busy.catch(() => undefined);
    this.#db.close();
    this.#ended();
  }

  async #prepare(): Promise<DuckDBPreparedStatement> {
    // The gate has seen to both; a text that came around it stops here.
    const statements = await this.#db.connection.extractStatements(this.#plan.sql);
    if (statements.count !== 1) throw notOneSelect();
    const statement = await statements.prepare(0);
    if (statement.statementType !== StatementType.SELECT) throw notOneSelect();
    bindParameters(statement, this.#plan.params);
    return statement;
  }

  async *#chunks(): AsyncGenerator<string> {
    const result = this.#result;
    if (result === undefined) return;
    this.#result = undefined;
    const { resultRowsMax, resultBytesMax } = this.#options;
    const writer = new RowWriter(
      this.columns.map((column) => column.name),
      result.columnTypes(),
    );
    let bytes = 2;
    try {
      for (;;) {
        const chunk = await this.#step(() => result.fetchChunk());
        if (chunk === null || chunk.rowCount === 0) break;
        if (this.#rows + chunk.rowCount > resultRowsMax) throw tooLarge(`${resultRowsMax} rows`);
        const text = (this.#rows === 0 ? '[' : ',') + writer.rows(chunk);
        bytes += Buffer.byteLength(text);
        if (bytes > resultBytesMax) throw tooLarge(`${resultBytesMax} bytes`);
        this.#rows += chunk.rowCount;
        yield text;
      }
      yield this.#rows === 0 ? '[]' : ']';
    } finally {
      await this.close();
    }
  }

  /** One call into DuckDB; an interrupted one answers why it was interrupted. */
  async #step<T>(call: () => Promise<T>): Promise<T> {
    if (this.#stopReason !== undefined) throw this.#stopReason;
    const running = call();
    this.#busy = running;
    try {
      return await running;
    } catch (error) {
      throw this.#stopReason ?? queryError(error, this.#plan.sources);
    }
  }

  #stop(reason: MiniodbError): void {
    this.#stopReason ??= reason;
    this.#db.connection.interrupt();
  }

  readonly #onAbort = (): void => this.#stop(cancelled());
}

function cancelled(): MiniodbError {
  return new MiniodbError('cancelled', 'the query was cancelled', { code: 'cancelled' });
}

function tooLarge(limit: string): MiniodbError {
  return new MiniodbError('resource_exhausted', `the result is larger than ${limit}`, {
    code: 'result_too_large',
  });
}

function notOneSelect(): MiniodbError {
  return new MiniodbError('invalid_argument', 'only one SELECT can be run', { code: 'sql_not_select' });
}
